//! Stories before the kiosk: what the camera would show goes in, what is reported is compared.

use super::screen::Page;
use super::*;
use crate::base::clock::Wall;
use crate::base::frame::{Origin, Tamper};
use crate::domain::challenge::Action;
use crate::domain::kiosk::attempt::FaceNow;
use crate::domain::kiosk::verification::Relation;
use crate::domain::liveness::{Cue, PassiveRule};
use crate::domain::sighting::{FaceQuality, FaceSeen};

/// Eight frames a second.
const FRAME_MS: u64 = 125;

/// Who stands there.
#[derive(Clone, Copy)]
struct Body {
    similarity: f32,
    live: f32,
    /// Whether it does what the screen asks for.
    obeys: bool,
    width_px: f32,
}

const PATIENT: Body = Body { similarity: 0.82, live: 0.9, obeys: true, width_px: 200.0 };
const STRANGER: Body = Body { similarity: 0.2, ..PATIENT };
const PHOTO: Body = Body { live: 0.02, obeys: false, ..PATIENT };

struct Story {
    kiosk: Kiosk,
    now: Now,
    reports: Vec<Verification>,
}

impl Story {
    /// A kiosk whose camera was calibrated, or was not.
    fn new(is_calibrated: bool) -> Story {
        let face = FaceRule { fmr: "1e-3".into(), match_at: 0.7, differs_below: 0.5, typical: None };
        let camera = CameraId::new("kiosk-1").unwrap();
        let mut rule = KioskRule::of(&Policy::ordinary(face), camera.clone());
        if is_calibrated {
            rule.life.cameras.insert(camera, PassiveRule { live_at: 0.5, attack_below: 0.1 });
        }
        let now = Now { mono: Mono(1_000), wall: Wall(1_000_000), boot: 0 };
        Story { kiosk: Kiosk::new(rule), now, reports: Vec::new() }
    }

    fn tell(&mut self, input: Input) -> Page {
        self.kiosk.handle(self.now, input);
        while let Some(report) = self.kiosk.poll_report() {
            self.reports.push(report);
        }
        self.page()
    }

    fn page(&self) -> Page {
        self.kiosk.screen(self.now.mono).page
    }

    fn passes(&mut self, ms: u64) {
        self.now.mono.0 += ms;
        self.now.wall.0 += ms as i64;
    }

    /// As far as the camera, for oneself.
    fn comes(purpose: Purpose, is_calibrated: bool) -> Story {
        let mut story = Story::new(is_calibrated);
        assert_eq!(story.tell(Input::Begin { purpose, seed: [7; 32] }), Page::Notice);
        assert_eq!(story.tell(Input::Read { agrees: true }), Page::Claim);
        story.tell(Input::Claim(Some(claimed(3))));
        story
    }

    fn frame(&mut self, body: Body, change: impl Fn(&mut Observation)) -> Page {
        self.passes(FRAME_MS);
        let action = self.kiosk.screen(self.now.mono).action.filter(|_| body.obeys);
        // Half of the time in the middle: people come back from what they did.
        let action = action.filter(|_| self.now.mono.0 / FRAME_MS % 8 < 3);
        let mut seen = observation(self.now.mono, body, action);
        change(&mut seen);
        self.tell(Input::Seen(seen))
    }

    /// Frames until another page comes, at most so many.
    fn stands(&mut self, body: Body, most: usize) -> Page {
        let before = self.page();
        for _ in 0..most {
            let page = self.frame(body, |_| {});
            if page != before {
                return page;
            }
        }
        before
    }

    fn last(&self) -> &Verification {
        self.reports.last().unwrap()
    }
}

fn claimed(templates: usize) -> Claimed {
    Claimed { stay: StayId::new("S1").unwrap(), masked_name: "张*".into(), templates }
}

fn observation(at: Mono, body: Body, action: Option<Action>) -> Observation {
    let yaw = match action {
        Some(Action::TurnLeft) => 27.0,
        Some(Action::TurnRight) => -27.0,
        _ => 1.0,
    };
    let quality = FaceQuality {
        score: 0.95,
        width_px: body.width_px,
        yaw,
        sharpness: 120.0,
        luma: 120.0,
        mouth: 0.6,
        ..FaceQuality::default()
    };
    let seen = FaceSeen { quality, claimed: Some(body.similarity), nearest_other: None, common: None };
    let face = FaceNow {
        goes_on: true,
        seen,
        live: Some(body.live),
        eyes: if action == Some(Action::Blink) { 0.2 } else { 0.31 },
        mouth: if action == Some(Action::OpenMouth) { 0.6 } else { 0.05 },
        place: [0.3, 0.3, 0.4, 0.4],
    };
    Observation { at, origin: Origin::Live, tamper: None, mean_luma: 110.0, faces: 1, face: Some(face) }
}

fn proxy() -> Proxy {
    Proxy { subject: "ab12".into(), masked_name: "李*".into(), relation: Relation::Child, resembles: None }
}

#[test]
fn a_living_patient_passes_in_three_seconds_where_passive_is_enough() {
    let mut story = Story::comes(Purpose::Admission, true);
    assert_eq!(story.page(), Page::Face);
    assert_eq!(story.stands(PATIENT, 60), Page::Result);
    let said = story.last();
    assert_eq!(said.outcome, Outcome::Verified);
    assert_eq!(said.life.as_ref().unwrap().cue, Cue::Passive);
    assert!(said.seen_ms.unwrap() <= 3_200, "{said:?}");
    assert!(said.consent && !said.synthetic && said.setbacks.is_empty());
    story.passes(20_000);
    assert_eq!(story.tell(Input::Tick), Page::Start);
}

#[test]
fn where_passive_decides_nothing_a_challenge_is_asked_and_answered_within_eight_seconds() {
    let mut story = Story::comes(Purpose::Settlement, false);
    assert_eq!(story.stands(PATIENT, 60), Page::Challenge);
    assert_eq!(story.stands(PATIENT, 100), Page::Result);
    let said = story.last();
    assert_eq!((&said.outcome, said.life.as_ref().unwrap().cue), (&Outcome::Verified, Cue::Challenge));
    assert!(said.seen_ms.unwrap() <= 8_000, "{said:?}");
    let asked = said.challenge.as_ref().unwrap();
    let nonce = hex::decode(&asked.nonce).unwrap();
    assert_eq!(
        crate::domain::challenge::Challenge::draw(&nonce, 2),
        asked.actions,
        "anybody can draw it again"
    );
    assert_eq!(asked.done, 2);
}

#[test]
fn a_photo_is_an_attack_only_the_second_time() {
    let mut story = Story::comes(Purpose::Admission, true);
    assert_eq!(story.stands(PHOTO, 60), Page::Again);
    assert!(story.reports.is_empty());
    assert_eq!(story.tell(Input::Retry), Page::Face);
    assert_eq!(story.stands(PHOTO, 60), Page::Result);
    assert_eq!(story.last().outcome, Outcome::NotLive { cue: Cue::Passive });
    assert_eq!(story.last().setbacks.len(), 2);
}

#[test]
fn a_replayed_video_does_not_answer_and_accuses_nobody_by_silence() {
    let replay = Body { live: 0.3, obeys: false, ..PATIENT };
    let mut story = Story::comes(Purpose::Admission, true);
    for page in [Page::Again, Page::Result] {
        assert_eq!(story.stands(replay, 60), Page::Challenge);
        assert_eq!(story.stands(replay, 200), page);
        story.tell(Input::Retry);
    }
    assert_eq!(story.last().outcome, Outcome::Inconclusive { reason: Reason::LifeUnproven });
}

#[test]
fn a_canned_video_that_answers_another_question_twice_is_an_attack() {
    let mut story = Story::comes(Purpose::Admission, false);
    for page in [Page::Again, Page::Result] {
        assert_eq!(story.stands(PATIENT, 60), Page::Challenge);
        let mut now = Page::Challenge;
        for frame in 0..30 {
            let asked = story.kiosk.screen(story.now.mono).action;
            let other = if asked == Some(Action::TurnLeft) { -27.0 } else { 27.0 };
            now = story.frame(Body { obeys: false, ..PATIENT }, |seen| {
                if frame > 4 {
                    seen.face.as_mut().unwrap().seen.quality.yaw = other;
                }
            });
            if now != Page::Challenge {
                break;
            }
        }
        assert_eq!(now, page);
        story.tell(Input::Retry);
    }
    assert_eq!(story.last().outcome, Outcome::NotLive { cue: Cue::Challenge });
}

#[test]
fn somebody_else_is_a_mismatch_the_second_time_and_may_still_go_to_the_staff() {
    let mut story = Story::comes(Purpose::Admission, true);
    assert_eq!(story.stands(STRANGER, 60), Page::Again);
    story.tell(Input::Retry);
    assert_eq!(story.stands(STRANGER, 60), Page::Result);
    assert_eq!(story.last().outcome, Outcome::Mismatch { resembles: None });
    assert_eq!(story.tell(Input::OtherWay), Page::Staff);
    let sign = |staff: &str| Input::Attested { staff: staff.into(), document: Document::IdCard };
    assert_eq!(story.tell(sign("王护士")), Page::Staff);
    assert_eq!(story.tell(sign("王护士")), Page::Staff, "the same person twice is one");
    assert_eq!(story.tell(sign("刘医生")), Page::Result);
    let both: Vec<&str> = story.reports.iter().map(|said| said.outcome.name()).collect();
    assert_eq!(both, ["mismatch", "attested"], "the staff's word does not take back what the camera saw");
    assert_eq!(story.reports[0].visit, story.reports[1].visit);
}

#[test]
fn a_stranger_and_then_the_patient_is_the_patient() {
    let mut story = Story::comes(Purpose::Admission, true);
    assert_eq!(story.stands(STRANGER, 60), Page::Again);
    story.tell(Input::Retry);
    assert_eq!(story.stands(PATIENT, 60), Page::Result);
    assert_eq!(story.last().outcome, Outcome::Verified);
    assert_eq!(story.last().setbacks, [Setback::Other { resembles: None }]);
}

#[test]
fn whoever_passes_the_challenge_cannot_hold_up_another_face_for_the_match() {
    let mut story = Story::comes(Purpose::Admission, false);
    assert_eq!(story.stands(PATIENT, 60), Page::Challenge);
    let page = story.frame(PATIENT, |seen| seen.face.as_mut().unwrap().goes_on = false);
    assert_eq!(page, Page::Face, "the nonce was meant for the face of before");
    assert_eq!(story.stands(STRANGER, 60), Page::Again);
}

#[test]
fn a_proxy_is_seen_alive_and_signed_for_with_both_cards() {
    let mut story = Story::comes(Purpose::Pickup, true);
    assert_eq!(story.page(), Page::Who);
    assert_eq!(story.tell(Input::Comes(Some(proxy()))), Page::Purchase);
    let bought = Purchase::parse("328.5", "86900001").unwrap();
    assert_eq!(story.tell(Input::Buys(Some(bought.clone()))), Page::Face);
    assert_eq!(story.stands(STRANGER, 60), Page::Staff, "a proxy is nobody's likeness");
    assert_eq!(story.kiosk.screen(story.now.mono).of, 1);
    story.tell(Input::Attested { staff: "药师赵".into(), document: Document::IdCard });
    let said = story.last();
    assert!(matches!(said.outcome, Outcome::Attested { .. }));
    assert_eq!((said.proxy.as_ref(), said.purchase.as_ref()), (Some(&proxy()), Some(&bought)));
    assert!(said.life.is_some() && said.similarity.is_none(), "not compared with the patient");
}

#[test]
fn a_photo_of_a_proxy_is_no_proxy() {
    let mut story = Story::comes(Purpose::Pickup, true);
    story.tell(Input::Comes(Some(proxy())));
    story.tell(Input::Buys(None));
    assert_eq!(story.stands(PHOTO, 60), Page::Again);
    assert_eq!(story.tell(Input::OtherWay), Page::Staff);
    assert_eq!(story.kiosk.screen(story.now.mono).of, 2, "without a living face two must sign");
}

#[test]
fn whoever_cannot_use_the_camera_needs_two_of_the_staff_and_no_face() {
    for templates in [0, 3] {
        let mut story = Story::new(true);
        story.tell(Input::Begin { purpose: Purpose::Admission, seed: [1; 32] });
        story.tell(if templates == 0 { Input::Read { agrees: true } } else { Input::OtherWay });
        assert_eq!(story.tell(Input::Claim(Some(claimed(templates)))), Page::Staff);
        assert!(story.kiosk.wanted().is_none(), "the camera stays off");
        for staff in ["王护士", "刘医生"] {
            story.tell(Input::Attested { staff: staff.into(), document: Document::Wristband });
        }
        let said = story.last();
        let staff = vec!["王护士".to_owned(), "刘医生".to_owned()];
        assert_eq!(said.outcome, Outcome::Attested { document: Document::Wristband, staff });
        assert_eq!((said.consent, said.similarity, said.seen_ms), (templates == 0, None, None));
    }
}

#[test]
fn a_person_who_cannot_blink_goes_to_the_staff_in_the_middle_of_the_challenge() {
    let mut story = Story::comes(Purpose::Admission, false);
    assert_eq!(story.stands(PATIENT, 60), Page::Challenge);
    assert_eq!(story.tell(Input::OtherWay), Page::Staff);
    assert!(story.reports.is_empty(), "that is no failure");
}

#[test]
fn a_nonce_that_is_not_answered_in_time_is_worth_nothing_and_the_next_one_is_another() {
    let mut story = Story::comes(Purpose::Admission, false);
    assert_eq!(story.stands(PATIENT, 60), Page::Challenge);
    story.passes(16_000);
    assert_eq!(story.tell(Input::Tick), Page::Again);
    story.tell(Input::Retry);
    assert_eq!(story.stands(PATIENT, 60), Page::Challenge);
    assert_eq!(story.stands(PATIENT, 100), Page::Result);
    assert_eq!(story.last().outcome, Outcome::Verified);
    assert_eq!(story.last().setbacks, [Setback::Unfinished]);
}

#[test]
fn a_camera_taken_away_in_the_middle_of_a_challenge_is_reported_at_once() {
    let mut story = Story::comes(Purpose::Admission, false);
    assert_eq!(story.stands(PATIENT, 60), Page::Challenge);
    assert_eq!(story.tell(Input::NoPicture), Page::Result);
    assert_eq!(story.last().outcome, Outcome::Inconclusive { reason: Reason::NoPicture });
    assert!(story.last().challenge.is_some());
    assert_eq!(story.tell(Input::OtherWay), Page::Staff);

    let mut story = Story::comes(Purpose::Admission, true);
    story.frame(PATIENT, |seen| seen.tamper = Some(Tamper::Covered));
    assert_eq!(story.last().outcome, Outcome::Inconclusive { reason: Reason::Tampered });
}

#[test]
fn whoever_leaves_in_the_middle_is_reported_as_having_left() {
    let mut story = Story::comes(Purpose::Admission, true);
    story.frame(PATIENT, |_| {});
    for _ in 0..100 {
        story.frame(PATIENT, |seen| (seen.faces, seen.face) = (0, None));
    }
    assert_eq!(story.page(), Page::Start);
    assert_eq!(story.last().outcome, Outcome::Abandoned);
    // Whoever goes before the camera was used was never there.
    let mut story = Story::new(true);
    story.tell(Input::Begin { purpose: Purpose::Pickup, seed: [1; 32] });
    story.tell(Input::Read { agrees: true });
    assert_eq!(story.tell(Input::Cancel), Page::Start);
    assert!(story.reports.is_empty());
}

#[test]
fn a_second_face_is_asked_out_of_the_picture_and_does_not_count() {
    let mut story = Story::comes(Purpose::Admission, true);
    for _ in 0..60 {
        story.frame(PATIENT, |seen| seen.faces = 2);
    }
    assert_eq!(story.kiosk.screen(story.now.mono).hint, Some(Hint::OneAtATime));
    assert_eq!(story.page(), Page::Face);
    assert_eq!(story.stands(PATIENT, 60), Page::Result);
}

#[test]
fn a_face_that_never_comes_near_is_nobodys_guilt() {
    let far = Body { width_px: 70.0, ..PATIENT };
    let mut story = Story::comes(Purpose::Admission, true);
    assert_eq!(story.stands(far, 10), Page::Face);
    assert_eq!(story.kiosk.screen(story.now.mono).hint, Some(Hint::ComeCloser));
    assert_eq!(story.stands(far, 400), Page::Again);
    story.tell(Input::Retry);
    assert_eq!(story.stands(far, 400), Page::Result);
    assert_eq!(story.last().outcome, Outcome::Inconclusive { reason: Reason::TooSmall });
}

#[test]
fn five_wrong_numbers_end_the_visit_and_late_touches_do_nothing() {
    let mut story = Story::new(true);
    story.tell(Input::Begin { purpose: Purpose::Admission, seed: [1; 32] });
    story.tell(Input::Read { agrees: true });
    for _ in 0..4 {
        assert_eq!(story.tell(Input::Claim(None)), Page::Claim);
    }
    assert_eq!(story.tell(Input::Claim(None)), Page::Start);
    for late in [Input::Retry, Input::OtherWay, Input::Buys(None), Input::Read { agrees: true }] {
        assert_eq!(story.tell(late), Page::Start);
    }
}
