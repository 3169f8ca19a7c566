"""The ledger of the agent's speech: which words count as heard."""

from __future__ import annotations

import pytest

from bridge.conversation.commands import SendAudio, SendMark
from bridge.conversation.events import Word
from bridge.conversation.playout import Playout
from bridge.conversation.policy import Policy
from bridge.conversation.utterance import Utterance


def utterance(text: str, *words: tuple[str, float, float]) -> Utterance:
    one = Utterance(1, words_needed=1, text=text)
    one.add_words(tuple(Word(*word) for word in words))
    return one


class TestWords:
    def test_times_of_words_tell_how_much_of_the_text_has_sounded(self) -> None:
        one = utterance("Sure, at nine.", ("Sure,", 0.0, 0.4), ("at", 0.4, 0.5), ("nine.", 0.5, 1.0))
        assert [one.text[: one.characters_at(ms * 8)] for ms in (0, 399, 400, 999, 1000)] == [
            "",
            "",
            "Sure,",
            "Sure, at",
            "Sure, at nine.",
        ]

    def test_a_word_spoken_in_another_form_counts_with_the_next_one(self) -> None:
        times = (("It", 0.0, 0.1), ("costs", 0.1, 0.4), ("twenty", 0.4, 0.8), ("dollars.", 0.8, 1.2))
        one = utterance("It costs 20 dollars.", *times)
        assert one.text[: one.characters_at(6400)] == "It costs"
        assert one.text[: one.characters_at(9600)] == "It costs 20 dollars."

    def test_many_tokens_for_one_word_of_the_text_do_not_run_ahead(self) -> None:
        digits = ["five", "five", "five", "one", "two", "three", "four"]
        times = [(word, i * 0.3, (i + 1) * 0.3) for i, word in enumerate(["Call", "", ",", *digits])]
        one = utterance("Call 555-1234 now or write to us any day.", *times)
        assert one.text[: one.characters_at(24000)] == "Call"

    def test_a_word_is_not_found_inside_another(self) -> None:
        one = utterance("I know no one.", ("I", 0.0, 0.1), ("know", 0.1, 0.5), ("no", 0.5, 0.6))
        assert one.text[: one.characters_at(4800)] == "I know no"

    @pytest.mark.parametrize("times", [(1e308, 1e308), (float("nan"), 1.0), (-1.0, 0.5), (2.0, 1.0)])
    def test_impossible_times_are_passed_over(self, times: tuple[float, float]) -> None:
        assert utterance("Hi there.", ("Hi", *times)).words == []

    def test_a_word_that_comes_twice_is_found_twice(self) -> None:
        words = ("the", "cat", "and", "the", "dog.")
        one = utterance("the cat and the dog.", *((word, i * 0.5, (i + 1) * 0.5) for i, word in enumerate(words)))
        assert one.text[: one.characters_at(16000)] == "the cat and the"

    def test_a_word_is_not_found_at_the_end_of_another(self) -> None:
        times = (("The", 0.0, 0.1), ("piano", 0.1, 0.4), ("is", 0.4, 0.5), ("no", 0.5, 0.6))
        one = utterance("The piano is no good.", *times)
        assert one.text[: one.characters_at(4800)] == "The piano is no"

    def test_a_number_in_words_is_not_looked_for_in_all_that_follows(self) -> None:
        times = (("It", 0.0, 0.1), ("is", 0.1, 0.2), ("five", 0.2, 0.5))
        one = utterance("It is 5. " + "And so on. " * 20 + "Call at five.", *times)
        assert one.text[: one.characters_at(4000)] == "It is"

    @pytest.mark.parametrize(
        ("text", "words", "heard"),
        [
            ("Is it 20? Or twenty one?", "Is it twenty", "Is it"),
            ("Is it 20? Or twenty one?", "Is it twenty Or", "Is it 20? Or"),
            ("Hold on pleaseHold on please", "Hold on please", "Hold on"),
            ("Hold on pleaseHold on please", "Hold on please Hold on", "Hold on pleaseHold on"),
        ],
    )
    def test_the_same_word_further_on_is_another(self, text: str, words: str, heard: str) -> None:
        one = utterance(text, *((word, i * 0.5, (i + 1) * 0.5) for i, word in enumerate(words.split())))
        assert one.text[: one.characters_at(24000)] == heard

    @pytest.mark.parametrize("left_out", ["<break time='1s'/> ", "- "])
    def test_what_is_not_spoken_is_not_waited_for(self, left_out: str) -> None:
        one = utterance(f"Yes, {left_out}we do.", ("Yes,", 0.0, 0.5), ("we", 1.5, 1.7))
        assert one.text[: one.characters_at(13600)] == f"Yes, {left_out}we"

    def test_words_that_the_service_leaves_out_do_not_stop_the_count_for_long(self) -> None:
        said = ["four", "five", "six", "seven", "eight", "nine", "ten"]
        one = utterance(
            "one two three four five six seven eight nine ten",
            *((word, i * 0.5, (i + 1) * 0.5) for i, word in enumerate(said)),
        )
        heard = [one.text[: one.characters_at(4000 * n)].split()[-1:] for n in range(1, 8)]
        assert heard == [[], [], [], ["seven"], ["eight"], ["nine"], ["ten"]]

    @pytest.mark.parametrize(
        ("text", "words", "heard"),
        [
            ("こんにちは、元気ですか。", "こんにちは", "こんにちは、"),
            ("你好、我们九点开门。", "你好 我们", "你好、我们"),
            ("你好、我们九点开门。", "你 好 、 我 们 九", "你好、我们九"),
            ("在iPhone上看。", "在 iPhone", "在iPhone"),
        ],
    )
    def test_where_no_spaces_are_written_words_are_told_apart_all_the_same(
        self, text: str, words: str, heard: str
    ) -> None:
        one = utterance(text, *((word, i * 0.5, (i + 1) * 0.5) for i, word in enumerate(words.split())))
        assert one.text[: one.characters_at(24000)] == heard

    def test_punctuation_belongs_to_its_word(self) -> None:
        one = utterance('He said "no" twice.', ("He", 0, 0.1), ("said", 0.1, 0.3), ("no", 0.3, 0.5))
        assert one.text[: one.characters_at(4000)] == 'He said "no"'

    def test_without_times_words_share_the_audio_by_their_length(self) -> None:
        one = Utterance(1, words_needed=1, text="aaaa bbbb cccc dddd", finished=True)
        one.add_audio(bytes(8000))
        assert one.text[: one.characters_at(3700)] == "aaaa"
        assert one.text[: one.characters_at(3800)] == "aaaa bbbb"
        assert one.text[: one.characters_at(8000)] == one.text

    def test_a_failed_utterance_is_not_heard_to_its_end(self) -> None:
        one = Utterance(1, words_needed=1, text="aaaa bbbb", finished=True, failed=True)
        one.add_audio(bytes(800))
        assert one.characters_at(800) == 0

    @pytest.mark.parametrize(("at", "start"), [(100, 0), (3199, 0), (3200, 3200), (3900, 3200), (8000, 8000)])
    def test_speech_goes_on_at_the_first_word_not_heard(self, at: int, start: int) -> None:
        one = utterance("Sure, at nine.", ("Sure,", 0.0, 0.4), ("at", 0.4, 0.5), ("nine.", 0.5, 1.0))
        assert one.rewind_to(at) == start


class TestSending:
    def ledger(self, seconds: float, *, finished: bool = True, **policy: float) -> Playout:
        playout = Playout(Policy(**{"lead_s": 2.0, "segment_s": 0.5, "latency_s": 0.0} | policy), epoch=3)  # type: ignore[arg-type]
        playout.open(1, words_needed=1)
        one = playout.find(1)
        assert one is not None
        one.add_audio(b"a" * round(seconds * 8000))
        one.finished = finished
        return playout

    def test_of_a_reply_that_is_over_no_audio_is_kept_and_nothing_is_counted_anew(self) -> None:
        playout = self.ledger(4)
        playout.pump(0.0)
        assert playout.sounding(0.5)
        playout.let_go_all()
        one = playout.find(1)
        assert one is not None
        assert (one.audio.read(0, 32_000), len(one.audio)) == (b"", 32_000)
        assert playout.sounding(0.5)
        assert playout.cut(0.5)
        assert not playout.sounding(0.5)

    def test_a_mark_stands_behind_each_segment_and_behind_the_end(self) -> None:
        commands = self.ledger(1.2).pump(10.0)
        sizes = [
            len(c.audio) if isinstance(c, SendAudio) else c.name
            for c in commands
            if isinstance(c, SendAudio | SendMark)
        ]
        assert sizes == [4000, "3.1", 4000, "3.2", 1600, "3.3"]

    def test_the_end_of_speech_that_still_arrives_gets_no_mark(self) -> None:
        commands = self.ledger(1.2, finished=False).pump(10.0)
        assert [c.name for c in commands if isinstance(c, SendMark)] == ["3.1", "3.2"]

    def test_the_phone_never_holds_more_than_the_lead(self) -> None:
        playout = self.ledger(60.0)
        playout.pump(10.0)
        sent = 2.0
        for step in range(1, 50):
            now = 10.0 + step * 0.3
            sent += sum(len(c.audio) for c in playout.pump(now) if isinstance(c, SendAudio)) / 8000
            assert sent - step * 0.3 <= 2.5

    def test_running_dry_inside_an_utterance_is_counted(self) -> None:
        playout = self.ledger(0.5, finished=False)
        playout.pump(10.0)
        one = playout.find(1)
        assert one is not None
        one.add_audio(b"b" * 4000)
        playout.pump(10.4)
        assert playout.under_runs == 0
        one.add_audio(b"c" * 4000)
        playout.pump(12.0)
        assert playout.under_runs == 1

    def test_an_overtaken_mark_is_lost_and_its_audio_was_heard(self) -> None:
        playout = self.ledger(2.0)
        playout.pump(10.0)
        assert playout.mark_returned("3.3", 11.5)
        assert playout.lost_marks == 2
        assert not playout.mark_returned("3.1", 11.6)
        assert not playout.mark_returned("3.3", 11.6)
        assert playout.mark_returned("3.4", 12.0)
        assert playout.heard_out(12.0)

    def test_what_stands_behind_a_mark_that_is_not_back_was_not_heard(self) -> None:
        playout = self.ledger(2.0)
        playout.add_text(1, "aa bb cc dd")
        playout.pump(10.0)
        assert playout.heard_and_rest(11.4)[0] in {"", "aa"}, "half a second at most, with a mark there"

    def test_what_was_heard_is_not_unsaid_by_word_times_that_come_later(self) -> None:
        playout = self.ledger(1.0, finished=False)
        playout.add_text(1, "aa bb")
        playout.pump(10.0)
        playout.mark_returned("3.1", 10.5)
        assert playout.heard_and_rest(10.5)[0] == "aa"
        one = playout.find(1)
        assert one is not None
        one.add_words((Word("aa", 0.0, 0.9),))
        assert playout.heard_and_rest(10.5)[0] == "aa"

    def test_a_cut_tells_whether_there_is_anything_to_drop(self) -> None:
        playout = self.ledger(0.5)
        assert not playout.cut(10.0)
        playout.pump(10.0)
        assert playout.cut(10.1)
        playout.pump(10.2)
        assert playout.mark_returned("3.2", 10.8)
        assert not playout.cut(10.9)
