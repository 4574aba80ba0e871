//! Microsoft's compound file (MS-CFB), in which an XLS file keeps its workbook: just enough of it to fetch one stream.
//!
//! A file is a small file system: sectors, a table (FAT) that says which sector follows which, and a directory; streams
//! below 4096 bytes lie in sectors of 64 bytes inside of another stream. Every number in it is the sender's: each is
//! looked up, never trusted, and no chain is followed for longer than the file has sectors.

const END: u32 = 0xFFFF_FFFE;
/// Ids from here on name no sector.
const SPECIAL: u32 = 0xFFFF_FFFA;
const MINI: usize = 64;
/// Streams shorter than this lie in mini sectors.
const CUTOFF: u64 = 4096;
const ENTRY: usize = 128;

/// The stream of the first of `names` that the file has; `None` when there is none or the file is damaged.
pub fn stream(bytes: &[u8], names: &[&str]) -> Option<Vec<u8>> {
    let file = File::open(bytes)?;
    let found = names.iter().find_map(|name| file.entries().find(|entry| entry.is_called(name)))?;
    let (start, length) = (found.start()?, found.length()?);
    if length >= CUTOFF {
        return file.read(start, length);
    }
    let root = file.entries().next()?;
    let inside = file.read(root.start()?, root.length()?)?;
    let table = numbers(&file.read(number(bytes, 60)?, u64::from(number(bytes, 64)?) * file.size as u64)?);
    gather(start, length, &table, inside.len() / MINI + 1, |id| piece(&inside, id.checked_mul(MINI)?, MINI))
}

struct File<'bytes> {
    bytes: &'bytes [u8],
    /// Of a sector.
    size: usize,
    table: Vec<u32>,
    directory: Vec<u8>,
}

impl<'bytes> File<'bytes> {
    fn open(bytes: &'bytes [u8]) -> Option<File<'bytes>> {
        let size = match bytes.get(30..32)? {
            [9, 0] => 512,
            [12, 0] => 4096,
            _ => return None,
        };
        let mut file = File { bytes, size, table: Vec::new(), directory: Vec::new() };
        for id in file.table_sectors()? {
            let sector = file.sector(id as usize)?;
            file.table.extend(numbers(sector));
        }
        file.directory = file.read(number(bytes, 48)?, u64::MAX)?;
        Some(file)
    }

    /// Where the table lies: 109 ids in the header, more in a chain of sectors whose last number is the next one's id.
    fn table_sectors(&self) -> Option<Vec<u32>> {
        let mut ids = numbers(self.bytes.get(76..512)?);
        let (mut next, mut count) = (number(self.bytes, 68)?, 0);
        while next < SPECIAL {
            ids.extend(numbers(self.sector(next as usize)?));
            next = ids.pop()?;
            count += 1;
            if count > self.most() {
                return None;
            }
        }
        ids.retain(|id| *id < SPECIAL);
        (ids.len() <= self.most()).then_some(ids)
    }

    fn most(&self) -> usize {
        self.bytes.len() / self.size + 1
    }

    /// The header takes the place of sector -1. The last sector of a file may be cut short.
    fn sector(&self, id: usize) -> Option<&'bytes [u8]> {
        piece(self.bytes, id.checked_add(1)?.checked_mul(self.size)?, self.size)
    }

    fn read(&self, start: u32, length: u64) -> Option<Vec<u8>> {
        gather(start, length, &self.table, self.most(), |id| self.sector(id))
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.directory.chunks_exact(ENTRY).map(Entry)
    }
}

struct Entry<'bytes>(&'bytes [u8]);

impl Entry<'_> {
    fn is_called(&self, name: &str) -> bool {
        let units = self.0[..MINI].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        let letters = char::decode_utf16(units.take_while(|unit| *unit != 0));
        let letters =
            letters.map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER).to_ascii_lowercase());
        letters.eq(name.chars().map(|letter| letter.to_ascii_lowercase()))
    }

    fn start(&self) -> Option<u32> {
        number(self.0, 116)
    }

    /// The upper half is rubbish in files of version 3, and nothing here has 4 GiB.
    fn length(&self) -> Option<u64> {
        number(self.0, 120).map(u64::from)
    }
}

/// Follows a chain for at most `most` sectors, until `length` bytes are there or it ends.
fn gather<'bytes>(
    start: u32,
    length: u64,
    table: &[u32],
    most: usize,
    sector: impl Fn(usize) -> Option<&'bytes [u8]>,
) -> Option<Vec<u8>> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let (mut id, mut gathered, mut count) = (start, Vec::new(), 0);
    while id != END && gathered.len() < length {
        let found = sector(id as usize)?;
        gathered.extend_from_slice(&found[..found.len().min(length - gathered.len())]);
        count += 1;
        if count > most {
            return None;
        }
        id = *table.get(id as usize)?;
    }
    Some(gathered)
}

/// At most `size` bytes from `at` on; `None` where there are none.
fn piece(bytes: &[u8], at: usize, size: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    (!rest.is_empty()).then(|| &rest[..rest.len().min(size)])
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A file with one stream, the way Excel lays it out: header, table, directory, sectors.
    pub fn compound(name: &str, stream: &[u8]) -> Vec<u8> {
        let mut stream = stream.to_vec();
        stream.resize(stream.len().max(CUTOFF as usize).next_multiple_of(512), 0);
        let sectors = u32::try_from(stream.len() / 512).unwrap();
        let mut header = vec![0; 512];
        header[..8].copy_from_slice(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1");
        header[30] = 9;
        header[48] = 1;
        header[60..64].copy_from_slice(&END.to_le_bytes());
        header[68..72].copy_from_slice(&END.to_le_bytes());
        header[76..].fill(0xFF);
        header[76..80].fill(0);
        let mut table = vec![0xFFFF_FFFD, END];
        table.extend((3..2 + sectors).chain([END]));
        table.resize(128, u32::MAX);
        let entry = |name: &str, start: u32, length: usize| {
            let mut entry: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
            entry.resize(ENTRY, 0);
            entry[116..120].copy_from_slice(&start.to_le_bytes());
            entry[120..124].copy_from_slice(&u32::try_from(length).unwrap().to_le_bytes());
            entry
        };
        let mut directory = [entry("Root Entry", END, 0), entry(name, 2, stream.len())].concat();
        directory.resize(512, 0);
        [header, table.into_iter().flat_map(u32::to_le_bytes).collect(), directory, stream].concat()
    }

    #[test]
    fn a_stream_is_found_by_its_name() {
        let text: Vec<u8> = (0..6000_u32).map(|at| (at % 251) as u8).collect();
        let file = compound("Workbook", &text);
        assert_eq!(stream(&file, &["Other", "WORKBOOK"]).unwrap()[..6000], text);
        assert_eq!(stream(&file, &["Book"]), None);
    }

    #[test]
    fn a_chain_in_a_circle_ends() {
        let mut file = compound("Workbook", &[1; 5000]);
        // The directory follows itself.
        file[516..520].copy_from_slice(&1_u32.to_le_bytes());
        assert_eq!(stream(&file, &["Workbook"]), None);
        // The table of the table follows itself, in a sector of one number.
        let mut file = file[..517].to_vec();
        file[68..72].fill(0);
        file[512..].fill(0);
        assert_eq!(stream(&file, &["Workbook"]), None);
        for end in 0..517 {
            assert_eq!(stream(&file[..end], &["Workbook"]), None);
        }
    }
}
