"""Free-form attributes with what decoding and encoding again would change, in orders of the stand-in."""

from __future__ import annotations

from quivo_frames.standin.orders import order_json
from quivo_frames.standin.world import ORDER_ATTRIBUTES, POSITION_ATTRIBUTES

HOSTILE_ATTRIBUTES = tuple(
    text.encode()
    for text in (
        "{}",
        '{"gift":true,"wrap":"red"}',
        '{"engraving":"\\"Für Zoë\\" 5\\" x 7\\"","path":"C:\\\\new\\\\table","regex":"\\\\d+\\\\"}',
        '{"factor":1.10,"ratio":133.0,"tiny":1e-7,"big":12345678901234567890}',
        '{"nested":{"list":[1,2.50,{"deep":[[],{}]}],"none":null},"flag":false}',
        '{"key with \\"quote\\"":"line\\nbreak","tab":"\\t","emoji":"🎉","escaped":"\\u00e9"}',
        '"{\\"attr1\\":\\"val1\\",\\"n\\":1.10}"',
        '{ "spaced" : [ 1 , 2 ] }',
        '{"null":"null","empty":"","zero":0}',
    )
)
_KEY = b'"customAttributes":'


def hostile_order_json(order_id: int, seed: int = 0, visit: int = 0) -> bytes:
    """The order of the stand-in, byte for byte, but with a hostile text for each of its attributes."""
    body = order_json(order_id, seed, visit)
    for usual in (ORDER_ATTRIBUTES, POSITION_ATTRIBUTES):
        for calm, hostile in zip(usual, HOSTILE_ATTRIBUTES, strict=True):
            body = body.replace(_KEY + bytes(calm), _KEY + hostile)
    return body
