//! H.264 into RTP packets (RFC 6184, packetization mode 1), each framed for the RTSP connection (RFC 2326, 10.12).

use crate::capture::broadcast::clip::Unit;

/// Payload of one packet: what an Ethernet frame holds, as cameras do.
const MOST_PAYLOAD: usize = 1400;
const PAYLOAD_TYPE: u8 = 96;

/// The sending end of one RTP stream.
pub struct Packets {
    pub sequence: u16,
    pub time: u32,
    pub ssrc: u32,
    /// Flips bits in every fragment after the first.
    pub damage: bool,
}

impl Packets {
    /// Appends one frame to `out`; with the parameter sets if it is a keyframe.
    pub fn frame(&mut self, unit: &Unit, parameters: [&[u8]; 2], out: &mut Vec<u8>) {
        let sets = parameters.into_iter().filter(|_| unit.is_key);
        let nals: Vec<&[u8]> = sets.chain(unit.nals.iter().map(Vec::as_slice)).collect();
        for (at, nal) in nals.iter().enumerate() {
            self.nal(nal, at + 1 == nals.len(), out);
        }
    }

    fn nal(&mut self, nal: &[u8], is_last: bool, out: &mut Vec<u8>) {
        let Some((head, body)) = nal.split_first() else { return };
        if nal.len() <= MOST_PAYLOAD {
            self.packet(nal, is_last, out);
            return;
        }
        // FU-A: an indicator with the unit's importance, a header with its type and whether it begins or ends here.
        let pieces = body.chunks(MOST_PAYLOAD - 2);
        let count = pieces.len();
        for (at, piece) in pieces.enumerate() {
            let (begins, ends) = (at == 0, at + 1 == count);
            let header = (u8::from(begins) << 7) | (u8::from(ends) << 6) | (head & 0x1F);
            let mut payload = vec![(head & 0xE0) | 28, header];
            payload.extend_from_slice(piece);
            if self.damage && !begins {
                payload.iter_mut().skip(2).step_by(7).for_each(|byte| *byte ^= 0x55);
            }
            self.packet(&payload, is_last && ends, out);
        }
    }

    fn packet(&mut self, payload: &[u8], marker: bool, out: &mut Vec<u8>) {
        let length = (12 + payload.len()) as u16;
        out.extend([b'$', 0]);
        out.extend(length.to_be_bytes());
        out.extend([0x80, (u8::from(marker) << 7) | PAYLOAD_TYPE]);
        out.extend(self.sequence.to_be_bytes());
        out.extend(self.time.to_be_bytes());
        out.extend(self.ssrc.to_be_bytes());
        out.extend_from_slice(payload);
        self.sequence = self.sequence.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_unit_is_cut_and_only_the_last_piece_ends_the_frame() {
        let unit = Unit { nals: vec![vec![0x65; 3000]], is_key: false };
        let mut out = Vec::new();
        let mut packets = Packets { sequence: u16::MAX, time: 7, ssrc: 1, damage: false };
        packets.frame(&unit, [&[], &[]], &mut out);
        let mut found = Vec::new();
        let mut at = 0;
        while at < out.len() {
            let length = usize::from(u16::from_be_bytes([out[at + 2], out[at + 3]]));
            let packet = &out[at + 4..at + 4 + length];
            found.push((packet[1] >> 7, packet[12], packet[13]));
            at += 4 + length;
        }
        assert_eq!(found, [(0, 0x7C, 0x85), (0, 0x7C, 0x05), (1, 0x7C, 0x45)]);
        assert_eq!(packets.sequence, 2);
    }
}
