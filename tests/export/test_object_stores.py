"""Exports to object stores: a server that speaks S3 on this machine; Google's and Azure's cannot be tried so."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from quivo_frames.errors import ConfigError, ExportError
from quivo_frames.export import delta
from quivo_frames.export.formats import ExportFormat, export_tables
from quivo_frames.model.frames import Frames
from quivo_frames.model.tables import TABLES
from quivo_frames.storage import urls
from tests.support.local_stores import SECRET_KEY, post_to_server
from tests.support.round_trips import assert_tables_equal, export_job, flatten_standin_orders


@pytest.fixture(scope="module")
def frames() -> Frames:
    return flatten_standin_orders(range(1, 31))


def object_names(s3: Any) -> set[str]:
    return {entry["Key"] for entry in s3.list_objects_v2(Bucket="lake").get("Contents", ())}


def read_marker(s3: Any) -> dict[str, Any]:
    return json.loads(s3.get_object(Bucket="lake", Key="out/export.json")["Body"].read())


# Parquet


@pytest.mark.long
def test_parquet_in_a_store_is_read_as_it_was(frames: Frames, s3: Any) -> None:
    exported = export_tables(export_job(frames), ExportFormat.PARQUET, "s3://lake/out/")
    assert_tables_equal({name: pl.read_parquet(f"s3://lake/out/{name}.parquet") for name in TABLES}, frames)
    assert object_names(s3) == {"out/export.json", *(f"out/{name}.parquet" for name in TABLES)}
    assert exported.rows == {name: frame.height for name, frame in frames.items()}
    assert read_marker(s3)["complete"] is True
    assert read_marker(s3)["rows"] == exported.rows


@pytest.mark.long
def test_parquet_in_a_store_is_replaced(frames: Frames, s3: Any) -> None:
    export_tables(export_job(frames), ExportFormat.PARQUET, "s3://lake/out")
    later = flatten_standin_orders(range(20, 41), seed=3)
    before = object_names(s3)
    export_tables(export_job(later), ExportFormat.PARQUET, "s3://lake/out")
    assert_tables_equal({name: pl.read_parquet(f"s3://lake/out/{name}.parquet") for name in TABLES}, later)
    assert object_names(s3) == before


@pytest.mark.long
def test_an_export_to_a_store_that_was_cut_off_says_so_and_is_completed_when_repeated(frames: Frames, s3: Any) -> None:
    outgoing = export_job(frames)

    def refuse(_: pl.DataFrame) -> pl.DataFrame:
        raise ValueError("Ms Secret lives here")

    broken = {**outgoing.tables, "shipments": outgoing.tables["shipments"].map_batches(refuse)}
    with pytest.raises(ExportError, match="the same export again replaces all of them") as caught:
        export_tables(outgoing._replace(tables=broken), ExportFormat.PARQUET, "s3://lake/out")
    assert "Secret" not in str(caught.value)
    assert read_marker(s3)["complete"] is False
    export_tables(outgoing, ExportFormat.PARQUET, "s3://lake/out")
    assert read_marker(s3)["complete"] is True
    assert_tables_equal({name: pl.read_parquet(f"s3://lake/out/{name}.parquet") for name in TABLES}, frames)


@pytest.mark.long
def test_parquet_of_somebody_else_in_a_store_is_left_alone(frames: Frames, s3: Any) -> None:
    s3.put_object(Bucket="lake", Key="out/orders.parquet", Body=b"theirs")
    for form in (ExportFormat.PARQUET, ExportFormat.DELTA):
        place = "s3://lake/out" if form is ExportFormat.PARQUET else "s3://lake"
        s3.put_object(Bucket="lake", Key="orders/part-0.parquet", Body=b"theirs")
        with pytest.raises(ConfigError, match="There are parquet files in"):
            export_tables(export_job(frames), form, place)
    assert object_names(s3) == {"out/orders.parquet", "orders/part-0.parquet"}


@pytest.mark.long
def test_by_month_is_refused_where_months_that_are_gone_would_stay(frames: Frames, s3: Any) -> None:
    with pytest.raises(ConfigError, match="export to delta"):
        export_tables(export_job(frames), ExportFormat.PARQUET, "s3://lake/out", by_month=True)
    assert object_names(s3) == set()


# Delta Lake


@pytest.mark.long
def test_delta_in_a_store_merges_as_on_a_disk(frames: Frames, s3: Any) -> None:
    export_tables(export_job(frames), ExportFormat.DELTA, "s3://lake/out/")
    later = flatten_standin_orders(range(20, 41), seed=3)
    export_tables(export_job(later), ExportFormat.DELTA, "s3://lake/out")
    rest = frames.without_orders(later.orders["order_id"])
    wanted = {name: pl.concat([rest[name], later[name]]) for name in TABLES}
    assert_tables_equal({name: pl.read_delta(f"s3://lake/out/{name}") for name in TABLES}, wanted)
    assert "nothing was written" in str(export_tables(export_job(later), ExportFormat.DELTA, "s3://lake/out"))


@pytest.mark.long
def test_of_two_exports_to_a_store_at_a_time_one_wins(frames: Frames, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    export_tables(export_job(frames), ExportFormat.DELTA, "s3://lake/out")
    first, second = flatten_standin_orders(range(1, 31), seed=3), flatten_standin_orders(range(1, 31), seed=4)
    plain, once = delta._replace_orders, iter([True])

    def late(*given: Any) -> None:
        if next(once, False):
            export_tables(export_job(first), ExportFormat.DELTA, "s3://lake/out")
        plain(*given)

    monkeypatch.setattr(delta, "_replace_orders", late)
    with pytest.raises(ExportError, match="was first"):
        export_tables(export_job(second), ExportFormat.DELTA, "s3://lake/out")
    assert_tables_equal({name: pl.read_delta(f"s3://lake/out/{name}") for name in TABLES}, first)


@pytest.mark.long
def test_erased_orders_leave_no_file_of_before_in_a_store(frames: Frames, s3: Any) -> None:
    export_tables(export_job(frames), ExportFormat.DELTA, "s3://lake/out")
    before = {name for name in object_names(s3) if name.endswith(".parquet")}
    gone = frames.orders["order_id"][0]
    export_tables(export_job(Frames.of(frames.without_orders([gone])), [gone]), ExportFormat.DELTA, "s3://lake/out")
    assert not before & object_names(s3)
    assert gone not in pl.read_delta("s3://lake/out/orders")["order_id"].to_list()
    assert DeltaTable("s3://lake/out/orders").version() > 2


# What goes wrong


@pytest.mark.long
@pytest.mark.parametrize("form", [ExportFormat.PARQUET, ExportFormat.DELTA])
def test_a_bucket_that_is_not_there_is_reported(frames: Frames, s3: Any, form: ExportFormat) -> None:
    with pytest.raises(ConfigError, match="no such bucket") as caught:
        export_tables(export_job(frames), form, "s3://nowhere/out")
    assert "s3://nowhere/out" in str(caught.value)
    assert SECRET_KEY not in str(caught.value)
    assert "<" not in str(caught.value)


@pytest.mark.long
@pytest.mark.parametrize("form", [ExportFormat.PARQUET, ExportFormat.DELTA])
def test_credentials_that_are_refused_are_reported_and_not_shown(
    frames: Frames, s3: Any, server: str, form: ExportFormat
) -> None:
    post_to_server(server, "reset-auth", b"0")
    try:
        with pytest.raises(ConfigError, match=r"access was refused. Look at the credentials") as caught:
            export_tables(export_job(frames), form, "s3://lake/refused")
    finally:
        post_to_server(server, "reset-auth", b"inf")
    assert SECRET_KEY not in str(caught.value)
    assert "name" not in str(caught.value).split()


@pytest.mark.long
def test_a_store_that_gives_no_answer_is_reported(frames: Frames, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ExportError, match=r"gives no answer. Look at the network and at the endpoint"):
        export_tables(export_job(frames), ExportFormat.DELTA, "s3://silent/out")


@pytest.mark.long
@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("https://example.org/out", "does not know https:// addresses"),
        ("s3://lake/out?sig=secret", "holds more than a place"),
        ("s3://name:secret@lake/out", "holds more than a place"),
        ("az://", "names no bucket"),
    ],
)
@pytest.mark.parametrize("form", [ExportFormat.PARQUET, ExportFormat.DELTA])
def test_an_address_of_another_kind_is_refused(frames: Frames, form: ExportFormat, out: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        export_tables(export_job(frames), form, out)
    assert "secret" not in str(error.value)


@pytest.mark.long
@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        ("403 Forbidden: <Code>AccessDenied</Code>", ConfigError, "access was refused"),
        ("<Code>ExpiredToken</Code>", ConfigError, "access was refused"),
        ("Error performing PUT http://169.254.169.254/latest/api/token", ConfigError, "no credentials were found"),
        ("Error performing GET http://metadata.google.internal/computeMetadata", ConfigError, "no credentials"),
        ("501 Not Implemented <Code>NotImplemented</Code>", ConfigError, "AWS_S3_ALLOW_UNSAFE_RENAME"),
        ("builder error: URL scheme is not allowed", ConfigError, "AWS_ALLOW_HTTP"),
        ("Read-only file system (os error 30)", ConfigError, "read-only"),
        ("Permission denied (os error 13)", ConfigError, "may not be written to"),
        ("No space left on device (os error 28)", ExportError, "the disk is full"),
        ("error sending request: connection refused", ExportError, "gives no answer"),
        ("Preview of invalid data: Ms Secret", ExportError, r"cannot be written to s3://lake/out \(OSError\)"),
    ],
)
def test_what_stores_answer_becomes_a_sentence(answer: str, kind: type[Exception], message: str) -> None:
    with (
        pytest.raises(kind, match=message) as error,
        urls.explain_storage_errors("The tables cannot be written to s3://lake/out", "export again", "As before."),
    ):
        raise OSError(f"Generic S3 error: {answer} ?X-Amz-Signature=abc")
    assert not {"Secret", "abc", "<"} & set(str(error.value).replace("=", " ").split())
    assert str(error.value).endswith("As before.")
