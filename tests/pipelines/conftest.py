"""Ray is imported with the settings of nrray in every test of this folder."""

import nrray.pipelines  # noqa: F401
