"""The codes of countries and currencies in the package are those of pycountry, which is not installed with it."""

from __future__ import annotations

import gettext

import pycountry
import pytest

from quivo_frames.analysis.checks.data import _country_names, _iso_codes
from schemas.generator.iso_codes import FILE, render_iso_codes


def test_the_file_is_what_the_generator_writes() -> None:
    assert FILE.read_text(encoding="utf-8") == render_iso_codes(), "make schemas"


def test_the_codes_are_those_of_the_standards() -> None:
    codes = _iso_codes()
    assert codes["countries"].split() == sorted(country.alpha_2 for country in pycountry.countries)
    assert codes["currencies"].split() == sorted(currency.alpha_3 for currency in pycountry.currencies)
    assert {"AT", "DE", "GB", "US"} < set(codes["countries"].split())
    assert not {"UK", "EL", "YU"} & set(codes["countries"].split())
    assert {"EUR", "CHF", "GBP"} < set(codes["currencies"].split())


def test_a_name_is_no_code_and_not_empty() -> None:
    names = _country_names()
    assert len(set(names)) == len(names)
    assert all(name == name.strip().upper() != "" for name in names)
    assert not set(names) & set(_iso_codes()["countries"].split())


EUROPE = "AT BE BG CH CZ DE DK EE ES FI FR GB GR HR HU IE IT LT LU LV NL NO PL PT RO SE SI SK US"


@pytest.mark.parametrize(
    "language", ["", "de", "fr", "it", "es", "nl", "pl", "cs", "sk", "sl", "hr", "hu", "pt", "da", "sv", "ro"]
)
def test_the_names_of_where_most_parcels_go_are_known_in_each_language(language: str) -> None:
    """In the words of pycountry, which has them from other translators than the file has."""
    translation = gettext.translation("iso3166-1", pycountry.LOCALES_DIR, languages=[language], fallback=True)
    countries = [pycountry.countries.get(alpha_2=code) for code in EUROPE.split()]
    names = {translation.gettext(country.name).upper() for country in countries}
    assert names <= {*_country_names()}
