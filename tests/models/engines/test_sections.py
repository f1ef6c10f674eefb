"""Engines as config sections: a plain word stands for an engine without settings, and identities of before stay equal."""

import pytest

from nrray.config import load_config
from nrray.errors import ConfigError
from nrray.labels import read_label_set
from nrray.models import YesNoStrategy
from nrray.models.engines import TransformersSection
from nrray.pipelines.relabel.job import RelabelConfig

NEEDED = ("manifest=m.parquet", "output=out", "strategy.kind=yes_no")


@pytest.mark.parametrize("given", [(), ("strategy.engine=transformers",), ("strategy.engine.kind=transformers",)])
def test_a_plain_word_a_section_and_nothing_mean_the_same_engine(given):
    strategy = load_config(RelabelConfig, None, [*NEEDED, *given]).strategy
    assert isinstance(strategy, YesNoStrategy)
    assert strategy.engine == TransformersSection()


def test_the_identity_of_a_run_through_transformers_is_what_it_was_before_engines_had_sections():
    engine = YesNoStrategy(engine="transformers").engine
    checkpoint = engine.resolved(load_config(RelabelConfig, None, NEEDED).model)
    assert YesNoStrategy().identity(checkpoint, read_label_set(None))["engine"] == "transformers"


def test_an_unknown_engine_is_an_error_that_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"strategy\.engine.*transformers"):
        load_config(RelabelConfig, None, [*NEEDED, "strategy.engine=tensorrt"])


def test_a_setting_that_an_engine_does_not_have_is_an_error():
    with pytest.raises(ConfigError, match=r"strategy\.engine\.url: unknown key"):
        load_config(RelabelConfig, None, [*NEEDED, "strategy.engine.kind=transformers", "strategy.engine.url=http://x"])
