//! What the kiosk's screen says, Chinese first: one thing at a time, kindly, and never an accusation. What was found goes
//! to the platform; whoever stands here is told what to do next.

use crate::domain::kiosk::attempt::{Hint, Setback};
use crate::domain::kiosk::screen::{Page, Screen};
use crate::domain::kiosk::verification::{Outcome, Purpose};
use crate::kiosk::counter_pages::Said;

/// Chinese, English.
type Both = (&'static str, &'static str);

/// Headline and what to do.
pub struct Words {
    pub title: Both,
    pub help: Both,
}

/// The page's name in the style sheet and script.
pub fn page_name(page: Page) -> &'static str {
    match page {
        Page::Start => "start",
        Page::Notice => "notice",
        Page::Claim => "claim",
        Page::Who => "who",
        Page::Purchase => "purchase",
        Page::Face => "face",
        Page::Challenge => "challenge",
        Page::Again => "again",
        Page::Staff => "staff",
        Page::Result => "result",
    }
}

/// What stands at the top of a page.
pub fn of(screen: &Screen, is_proxy_form: bool) -> Words {
    let (title, help) = match screen.page {
        Page::Start => (("请选择", "What are you here for?"), ("点一下按钮开始", "Touch a button to begin")),
        Page::Notice => (("使用摄像头前请阅读", "Before the camera is used"), ("", "")),
        Page::Claim => (
            ("请输入就诊号或人员编号", "Number of your stay or person"),
            ("腕带或医保卡上有，也可以扫码", "It is on the wristband or card; you may scan it"),
        ),
        Page::Who if is_proxy_form => (
            ("代办人信息", "Who collects for the patient"),
            ("请拿好患者和代办人两人的证件", "Have both cards ready: the patient's and yours"),
        ),
        Page::Who => (("谁来取药？", "Who collects?"), ("", "")),
        Page::Purchase => (
            ("本次购药", "What is bought"),
            ("请扫描处方或小票上的药品编码", "Scan the codes on the prescription or receipt"),
        ),
        Page::Face => (("请看镜头", "Look at the camera"), ("不用做动作，保持片刻", "Just stay like this")),
        Page::Challenge => {
            (("请跟着提示做", "Do as it says"), ("做不了请点下面的按钮", "If you cannot, touch below"))
        }
        Page::Again => (again(screen.setback.as_ref()), ("可以再试一次", "You may try once more")),
        Page::Staff => (
            ("请工作人员核对证件", "Staff: look at the document"),
            if screen.is_proxy && screen.of == 1 {
                ("核对患者和代办人两人的证件", "Look at both cards: the patient's and the proxy's")
            } else {
                ("由两名工作人员分别签名", "Two members of staff sign, one after the other")
            },
        ),
        Page::Result => result(screen.outcome.as_ref(), screen.purpose),
    };
    Words { title, help }
}

fn again(setback: Option<&Setback>) -> Both {
    match setback {
        Some(Setback::Other { .. } | Setback::Uncertain) => ("没有认出您", "You were not recognised"),
        Some(Setback::NotLive { .. }) => ("没有看清本人", "The camera could not see you well"),
        Some(Setback::Unfinished) => ("时间到了，没关系", "Time is up; never mind"),
        Some(Setback::Unseen { hint }) => hint.prompt(),
        None => ("请再试一次", "Please try again"),
    }
}

/// Headline and next step.
fn result(outcome: Option<&Outcome>, purpose: Option<Purpose>) -> (Both, Both) {
    let go_on = match purpose {
        Some(Purpose::Admission) => ("请到入院窗口继续办理", "Go on at the admission desk"),
        Some(Purpose::Settlement) => ("请到结算窗口继续办理", "Go on at the settlement desk"),
        Some(Purpose::Pickup) | None => ("请到取药窗口取药", "Go on at the pharmacy desk"),
    };
    let staff = ("请拿好证件，点下面的按钮找工作人员", "Have your card ready and touch below for the staff");
    match outcome {
        Some(Outcome::Verified) => (("核验通过", "Verified"), go_on),
        Some(Outcome::Attested { .. }) => (("人工核验完成", "Verified by staff"), go_on),
        Some(Outcome::Mismatch { .. }) => (("没有认出您", "You were not recognised"), staff),
        Some(Outcome::NotLive { .. } | Outcome::Inconclusive { .. }) => {
            (("这次没有核验成", "It did not work this time"), staff)
        }
        Some(Outcome::Abandoned) | None => (("已结束", "It is over"), ("", "")),
    }
}

/// What changes while a face is looked at.
pub fn live(screen: &Screen) -> Both {
    match (screen.page, screen.action, screen.hint) {
        (Page::Challenge, _, Some(hint @ (Hint::ComeIntoView | Hint::OneAtATime | Hint::MoreLight))) => {
            hint.prompt()
        }
        (Page::Challenge, Some(action), _) => action.prompt(),
        (_, _, Some(hint)) => hint.prompt(),
        (_, _, None) => ("", ""),
    }
}

/// The name of the recording that says so; none where nothing new is to be done.
pub fn spoken(screen: &Screen) -> Option<&'static str> {
    use crate::domain::challenge::Action;
    Some(match screen.page {
        Page::Face | Page::Challenge => match (screen.page, screen.action, screen.hint?) {
            (_, _, Hint::ComeIntoView) => "come_into_view",
            (_, _, Hint::OneAtATime) => "one_at_a_time",
            (_, _, Hint::MoreLight) => "more_light",
            (Page::Challenge, Some(Action::TurnLeft), _) => "turn_left",
            (Page::Challenge, Some(Action::TurnRight), _) => "turn_right",
            (Page::Challenge, Some(Action::Blink), _) => "blink",
            (Page::Challenge, Some(Action::OpenMouth), _) => "open_mouth",
            (_, _, Hint::ComeCloser) => "come_closer",
            (_, _, Hint::LookHere) => "look_here",
            (_, _, Hint::HoldStill | Hint::Good) => "hold_still",
            (_, _, Hint::UncoverMouth) => "uncover_mouth",
        },
        Page::Result if screen.outcome.as_ref().is_some_and(Outcome::is_good) => "passed",
        Page::Result | Page::Staff => "see_staff",
        Page::Again => "try_again",
        Page::Start | Page::Notice | Page::Claim | Page::Who | Page::Purchase => return None,
    })
}

/// Why a form was not taken.
pub fn complaint(said: Said) -> Both {
    match said {
        Said::NotFound => {
            ("没有找到这个号码，请核对后再输", "This number is not known here: look again and retype it")
        }
        Said::Typed => ("请填写完整", "Something is missing"),
        Said::Amount => ("金额应为元，如 128.50", "The amount is in yuan, as 128.50"),
        Said::Codes => ("药品编码只含字母和数字，最多 40 种", "Codes are letters and digits, 40 at most"),
        Said::Pin => ("姓名或密码不对", "Name or PIN is wrong"),
        Said::Locked => (
            "错误次数太多，请 15 分钟后再试，或换一位同事",
            "Too many wrong PINs: wait 15 minutes, or ask a colleague",
        ),
    }
}
