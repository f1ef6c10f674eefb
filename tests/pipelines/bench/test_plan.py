from nrray.pipelines.bench.plan import benched_plan


def test_half_of_the_units_are_in_the_ledger_and_half_are_to_do():
    figures = benched_plan(num_videos=5, hours=0.1)
    assert (figures.videos, figures.hours_per_video) == (5, 0.1)
    assert figures.windows == 5 * 358  # of 3 s every second in 360 s
    assert figures.units_to_do == figures.units // 2
    assert figures.ledger_files > 0
    assert figures.seconds["total"] == sum(seconds for step, seconds in figures.seconds.items() if step != "total")
