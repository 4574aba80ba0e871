"""The kiosk's spoken prompts: Debian's espeak-ng says each in Chinese and then in English, opus-tools presses it small.

    apt-get install espeak-ng opus-tools && python3 assets/generate/voice.py

A synthetic voice of free software: nobody's. The words are those of src/kiosk/words.rs and src/domain/kiosk/attempt.rs.
"""

import pathlib
import subprocess
import tempfile
import wave

PROMPTS = {
    "come_into_view": ("请站到镜头前", "Come in front of the camera"),
    "one_at_a_time": ("请其他人暂时离开画面", "One person at a time, please"),
    "more_light": ("光线太暗，请开灯", "More light, please"),
    "come_closer": ("请靠近一点", "Come closer"),
    "look_here": ("请正对镜头", "Look here"),
    "hold_still": ("很好，请保持", "Good, stay like this"),
    "uncover_mouth": ("如方便，请摘下口罩", "Take off the mask if you can"),
    "turn_left": ("请向左转头", "Turn your head to the left"),
    "turn_right": ("请向右转头", "Turn your head to the right"),
    "blink": ("请眨眨眼", "Blink"),
    "open_mouth": ("请张开嘴", "Open your mouth"),
    "passed": ("核验通过，请继续办理", "Verified. Please go on"),
    "try_again": ("可以再试一次", "You may try again"),
    "see_staff": ("请找工作人员", "Please see the staff"),
}


def said(text, voice, speed, path):
    subprocess.run(["espeak-ng", "-v", voice, "-s", str(speed), "-w", str(path), text], check=True)
    with wave.open(str(path)) as file:
        return file.getparams(), file.readframes(file.getnframes())


def main():
    target = pathlib.Path(__file__).resolve().parent.parent / "voice"
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, (chinese, english) in PROMPTS.items():
            params, first = said(chinese, "cmn", 150, folder / "zh.wav")
            _, second = said(english, "en", 150, folder / "en.wav")
            pause = bytes(2 * int(params.framerate * 0.25))
            with wave.open(str(folder / "both.wav"), "wb") as file:
                file.setparams(params)
                file.writeframes(first + pause + second)
            subprocess.run(
                ["opusenc", "--quiet", "--bitrate", "16", "--speech", "--serial", "1",
                 str(folder / "both.wav"), str(target / f"{name}.opus")],
                check=True,
            )


main()
