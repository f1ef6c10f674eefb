import pytest

from nrray.errors import DataError
from tests.formats.support import imported, notes, spans


def document(*, slots, tiers, media='<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/study/alone.mp4" MIME_TYPE="video/mp4"/>'):
    times = "".join(
        f'<TIME_SLOT TIME_SLOT_ID="{name}"' + (f' TIME_VALUE="{value}"/>' if value is not None else "/>")
        for name, value in slots.items()
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds">{media}</HEADER>'
        f"<TIME_ORDER>{times}</TIME_ORDER>{''.join(tiers)}</ANNOTATION_DOCUMENT>"
    )


def tier(tier_id, *annotations, attributes=""):
    inner = "".join(f"<ANNOTATION>{item}</ANNOTATION>" for item in annotations)
    return f'<TIER TIER_ID="{tier_id}" {attributes}>{inner}</TIER>'


def timed(number, first, last, value=""):
    return (
        f'<ALIGNABLE_ANNOTATION ANNOTATION_ID="{number}" TIME_SLOT_REF1="{first}" TIME_SLOT_REF2="{last}">'
        f"<ANNOTATION_VALUE>{value}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION>"
    )


def referring(number, parent, value=""):
    return (
        f'<REF_ANNOTATION ANNOTATION_ID="{number}" ANNOTATION_REF="{parent}">'
        f"<ANNOTATION_VALUE>{value}</ANNOTATION_VALUE></REF_ANNOTATION>"
    )


SLOTS = {"ts1": 1000, "ts2": 2500}


def sources(result):
    return [row.source for item in result.files for row in item.annotations.segments]


def test_a_tier_with_an_activity_name_gives_the_activity_whatever_its_values(tmp_path):
    text = document(slots=SLOTS, tiers=[tier("suction", timed("a1", "ts1", "ts2", "deep"))])
    result = imported(tmp_path, {"x.eaf": text})
    assert spans(result) == [("alone.mp4", "suction", 1000, 2500)]
    assert sources(result) == ["imported"]


def test_any_other_tier_is_an_annotator_whose_values_are_activities(tmp_path):
    tiers = [
        tier("tier of bo", timed("a1", "ts1", "ts2", "suction"), timed("a2", "ts1", "ts2", " ")),
        tier("x", timed("a3", "ts1", "ts2", "ventilation"), attributes='PARTICIPANT="anna"'),
        tier("y", timed("a4", "ts1", "ts2", "stimulation"), attributes='PARTICIPANT="baby" ANNOTATOR="cleo"'),
        tier("suction@dora", timed("a5", "ts1", "ts2")),
    ]
    result = imported(tmp_path, {"x.eaf": document(slots=SLOTS, tiers=tiers)})
    found = {(row.activity, row.source) for row in result.files[0].annotations.segments}
    assert found == {
        ("suction", "tier of bo"),
        ("ventilation", "anna"),
        ("stimulation", "cleo"),
        ("suction", "dora"),
    }
    assert "1 annotation without a value left out" in notes(result)


def test_where_the_activity_stands_can_be_said(tmp_path):
    text = document(slots=SLOTS, tiers=[tier("suction", timed("a1", "ts1", "ts2", "ventilation"))])
    assert spans(imported(tmp_path, {"x.eaf": text}, activity_from="value"))[0][1] == "ventilation"
    assert spans(imported(tmp_path, {"x.eaf": text}, activity_from="tier"))[0][1] == "suction"
    other = document(slots=SLOTS, tiers=[tier("Sug", timed("a1", "ts1", "ts2", "ventilation"))])
    assert spans(imported(tmp_path, {"x.eaf": other}, names={"Sug": "suction"}))[0][1] == "suction"
    with pytest.raises(DataError, match="tier 'Sug', annotation a1: unknown activity 'Sug'"):
        imported(tmp_path, {"x.eaf": other}, activity_from="tier")


def test_the_time_origin_is_added(tmp_path):
    media = '<MEDIA_DESCRIPTOR MEDIA_URL="file:///alone.mp4" MIME_TYPE="video/mp4" TIME_ORIGIN="1500"/>'
    text = document(slots=SLOTS, tiers=[tier("suction", timed("a1", "ts1", "ts2"))], media=media)
    result = imported(tmp_path, {"x.eaf": text})
    assert spans(result) == [("alone.mp4", "suction", 2500, 4000)]
    assert "TIME_ORIGIN of 1500 ms added" in notes(result)


def test_the_first_video_is_meant_and_sound_is_no_video(tmp_path):
    sound = '<MEDIA_DESCRIPTOR MEDIA_URL="file:///v.wav" MIME_TYPE="audio/x-wav" TIME_ORIGIN="9"/>'
    video = '<MEDIA_DESCRIPTOR MEDIA_URL="file:///a%20b/{}" MIME_TYPE="video/mp4"/>'
    tiers = [tier("suction", timed("a1", "ts1", "ts2"))]
    both = sound + video.format("alone.mp4") + video.format("phone.mov")
    result = imported(tmp_path, {"x.eaf": document(slots=SLOTS, tiers=tiers, media=both)})
    assert spans(result) == [("alone.mp4", "suction", 1000, 2500)]
    assert "1 other video named" in notes(result)
    with pytest.raises(DataError, match=r"sound only .*v\.wav.* Set video=PATH"):
        imported(tmp_path, {"x.eaf": document(slots=SLOTS, tiers=tiers, media=sound)})


def test_annotations_that_refer_take_the_time_of_the_timed_one_up_the_chain(tmp_path):
    tiers = [
        tier("notes", referring("a3", "a2", "stimulation")),  # refers onward, and stands before what it refers to
        tier("x", timed("a1", "ts1", "ts2", "suction")),
        tier("y", referring("a2", "a1", "ventilation")),
    ]
    result = imported(tmp_path, {"x.eaf": document(slots=SLOTS, tiers=tiers)})
    assert {span[1:] for span in spans(result)} == {
        ("suction", 1000, 2500),
        ("ventilation", 1000, 2500),
        ("stimulation", 1000, 2500),
    }
    assert "2 annotations of dependent tiers" in notes(result)
    for loop in (
        [referring("a1", "a2", "suction"), referring("a2", "a1", "suction")],
        [referring("a1", "zz", "suction")],
    ):
        with pytest.raises(DataError, match=r"annotation a1: refers to '.*', which is missing or refers back"):
            imported(tmp_path, {"x.eaf": document(slots=SLOTS, tiers=[tier("x", *loop)])})


def test_slots_without_a_time_are_refused_naming_the_annotation_unless_interpolated(tmp_path):
    slots = {"ts1": 1000, "ts2": None, "ts3": None, "ts4": None, "ts5": 4000}
    parts = [timed("a1", "ts1", "ts2"), timed("a3", "ts4", "ts5"), timed("a2", "ts3", "ts4")]
    text = document(slots=slots, tiers=[tier("suction", *parts)])
    with pytest.raises(
        DataError, match=r"tier 'suction', annotation a1: its time slot ts2 .*unset_time_slots=interpolate"
    ):
        imported(tmp_path, {"x.eaf": text})
    result = imported(tmp_path, {"x.eaf": text}, unset_time_slots="interpolate")
    assert [span[2:] for span in spans(result)] == [(1000, 2000), (2000, 3000), (3000, 4000)]
    assert "3 time slots without a time interpolated" in notes(result)


def test_a_slot_with_no_neighbour_after_it_is_refused_even_so(tmp_path):
    text = document(slots={"ts1": 1000, "ts2": None}, tiers=[tier("suction", timed("a1", "ts1", "ts2"))])
    with pytest.raises(DataError, match=r"annotation a1: .*no neighbours with times"):
        imported(tmp_path, {"x.eaf": text}, unset_time_slots="interpolate")


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    '<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds"/><TIER TIER_ID="&b;"/></ANNOTATION_DOCUMENT>'
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_doctype_is_refused_in_every_encoding(tmp_path, encoding):
    with pytest.raises(DataError, match="found a DOCTYPE"):
        imported(tmp_path, {"alone.eaf": LAUGHS.replace("?>", f' encoding="{encoding}"?>', 1).encode(encoding)})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<a", "is not XML"),
        ("<a/>", "found <a>, expected ELAN's"),
        ('<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="PAL-frames"/></ANNOTATION_DOCUMENT>', "times are in 'PAL-frames'"),
        (document(slots={"ts1": "x"}, tiers=[]), "time slot ts1 is 'x'"),
        (document(slots={}, tiers=[tier("suction", timed("a1", "ts1", "ts2"))]), "'ts1' is not in TIME_ORDER"),
        (document(slots={}, tiers=[tier("suction", "<REF_ANNOTATION/>")]), "lacks"),
    ],
)
def test_what_is_wrong_in_a_document_is_named(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        imported(tmp_path, {"alone.eaf": text})
