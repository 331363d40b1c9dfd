"""Sellers, articles, warehouses, carriers and cities that the stand-in draws its orders from.

Real are: warehouse 4 in Germany, 7 in the United Kingdom and 8 in the United States; the values PALLET, M, PROCESSING
and PENDING; the names of carriers that Quivo offers. All else is invented, every other code and status in particular:
the API documents no lists of them.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from msgspec import Raw


class Seller(NamedTuple):
    """A merchant with one shop and one kind of goods; `lots` and `serials` say how the goods are tracked."""

    seller_id: int
    name: str
    shop_id: int
    shop_system: str
    shop_name: str
    warehouse: int
    prefix: str
    goods: tuple[str, ...]
    lots: bool
    serials: bool


class Article(NamedTuple):
    """An article: weight in grams, net price in cents."""

    sku: str
    name: str
    number: int
    grams: int
    cents: int


class Carrier(NamedTuple):
    """A carrier; `proves` says that it mostly returns a proof of delivery."""

    provider: str
    name: str
    tracking: str
    proves: bool = False


class City(NamedTuple):
    """A city that orders go to: parts of an address, tax in percent, and names of people there."""

    country: str
    postcode: str
    city: str
    state: str | None
    street: str
    latitude: float
    longitude: float
    currency: str
    tax: int
    phone: str
    names: tuple[str, ...]


WAREHOUSES = {4: "Lager Deutschland", 7: "Warehouse United Kingdom", 8: "Warehouse United States"}

SELLERS = (
    Seller(2101, "Nordlicht Kosmetik GmbH", 510, "SHOPIFY", "Shopify", 4, "NLK", (
        "Tagescreme 50 ml", "Nachtcreme 50 ml", "Serum Hyaluron", "Lippenbalsam", "Handcreme Rosé", "Gesichtsöl",
        "Peeling", "Shampoo fest"), lots=True, serials=False),
    Seller(2102, "Voltwerk Elektronik AG", 511, "SHOPWARE6", "Shopware 6", 4, "VWE", (
        "Ladegerät 65 W", "Powerbank 20.000 mAh", "Kopfhörer \"Studio\"", "USB-C-Kabel 2 m", "Smart Plug", "Webcam HD"),
        lots=False, serials=True),
    Seller(2103, "Harbour & Thread Ltd", 512, "WOOCOMMERCE", "WooCommerce", 7, "HTL", (
        "Oxford Shirt", "Merino Jumper", "Chino Trousers", "Wool Scarf", "Linen Dress", "Rain Jacket", "Socks"),
        lots=False, serials=False),
    Seller(2104, "Søndag Kaffe ApS", 513, "MAGENTO2", "Magento 2", 4, "SKA", (
        "Espresso 1 kg", "Filterkaffe 250 g", "Decaf 500 g", "Chai Latte", "Kakao 70 %", "Crème brûlée sirup"),
        lots=True, serials=False),
    Seller(2105, "Maple Trail Outfitters Inc", 514, "SHOPIFY", "Shopify", 8, "MTO", (
        "Headlamp 400 lm", "Tent 2P", "Trail Stove", "Sleeping Pad", "Filter 0.1 µm", "GPS Watch", "Dry Bag 20 L"),
        lots=False, serials=True),
    Seller(2106, "Kleine Drachen Spielzeug", 515, "API", "", 4, "KDS", (
        "Holzeisenbahn", "Plüschdrache", "Puzzle 1000 Teile", "Knete 4er-Set", "Würfelspiel", "Murmelbahn XL"),
        lots=False, serials=False),
)  # fmt: skip

PARCEL_CARRIERS = (
    Carrier("DHL", "DHL Express", "JJD0002"),
    Carrier("UPS", "UPS Standard", "1Z999AA1"),
    Carrier("UPS", "UPS Saver", "1Z999AA2"),
    Carrier("ROYAL_MAIL", "Royal Mail", "RM4400", proves=True),
    Carrier("MONDIAL_RELAY", "Mondial Relay", "MR77"),
)
FREIGHT_CARRIERS = (Carrier("PALLET", "Pallet transport", "PAL", proves=True), Carrier("PICKUP", "Pick-up", "PU"))

_GERMAN = ("Anna Müller", "Jürgen Groß", "Zoë Weiß", "Max Schäfer", "Aylin Öztürk")
_ENGLISH = ("Olivia O'Brien", "James Clarke", "Chloé Martin", "Amelia Hughes")
CITIES = (
    City("DE", "10243", "Berlin", None, "Warschauer Straße {}", 52.5069, 13.4515, "EUR", 19, "+49 30 0000", _GERMAN),
    City("DE", "50667", "Köln", "NW", "Große Budengasse {}", 50.9384, 6.9584, "EUR", 19, "+49 221 0000", _GERMAN),
    City("DE", "80331", "München", "BY", "Sendlinger Straße {}", 48.1351, 11.5673, "EUR", 19, "+49 89 0000", _GERMAN),
    City("DE", "01067", "Dresden", "SN", "Ostra-Allee {}a", 51.0565, 13.7256, "EUR", 19, "+49 351 0000", _GERMAN),
    City("AT", "1070", "Wien", None, "Mariahilfer Straße {}/2", 48.1985, 16.3498, "EUR", 20, "+43 1 0000", _GERMAN),
    City("GB", "EC1A 1BB", "London", None, "{} Aldersgate St", 51.5190, -0.0970, "GBP", 20, "+44 20 7946", _ENGLISH),
    City("GB", "M1 2JA", "Manchester", None, "{} Dale St", 53.4826, -2.2311, "GBP", 20, "+44 161 496", _ENGLISH),
    City("US", "02116", "Boston", "MA", "{} Newbury St", 42.3519, -71.0764, "USD", 0, "+1 617 555", _ENGLISH),
    City("US", "94103", "San Francisco", "CA", "{} Mission St", 37.7785, -122.4056, "USD", 0, "+1 415 555", _ENGLISH),
    City("PL", "90-001", "Łódź", None, "ul. Piotrkowska {}", 51.7687, 19.4569, "PLN", 23, "+48 42 000",
          ("Wojciech Żak", "Małgorzata Śliwińska", "Łukasz Dąbrowski")),
    City("DK", "5970", "Ærøskøbing", None, "Søndergade {}", 54.8881, 10.4111, "DKK", 25, "+45 62 00",
          ("Søren Kjær", "Åse Bjørn", "Ida Nørgaard")),
    City("FR", "31000", "Toulouse", None, "{} rue d'Alsace-Lorraine", 43.6045, 1.4440, "EUR", 20, "+33 5 00",
          ("Chloé L'Hôte", "François Béranger", "Noël Lefèvre")),
    City("JP", "150-0001", "東京", "東京都", "神宮前{}丁目", 35.6702, 139.7027, "JPY", 10, "+81 3 0000",
          ("山田 花子", "佐藤 健", "鈴木 一郎")),
)  # fmt: skip

COMPANIES = ("Müller & Söhne GmbH", "Corner Shop Ltd", "Łódzka Spółka z o.o.", 'Kaffeehaus "Zur Post"', "Ågaard A/S")
COMMENTS = (
    "Bitte nicht knicken",
    "Please leave with neighbour",
    "Danke! 🎁",
    "Zeile 1\nZeile 2",
    "Path C:\\new\\table",
    "",
)
INSTRUCTIONS = ("Ring twice", "Hinterhof, 2. Stock", "Code #4711", "Rampe 3, 7–15 Uhr")
TAGS = (["VIP"], ["B2B", "express"], ["geschenk", "🎁"], ["B2B", None], ["first-order"], [""])
SHIPPING = (("STD", "Standard"), ("EXP", "Express"), ("ECO", "Öko-Versand"), ("PAL", "Pallet"))
PAYMENTS = ("PAYPAL", "CREDIT_CARD", "INVOICE", "KLARNA", "PREPAYMENT")
ERRORS = (
    ("ADDRESS_INVALID", "Street and house number could not be recognised"),
    ("STOCK_MISSING", "No stock for at least one position"),
    ("CUSTOMS_DATA", 'Customs value is missing for "{}"'),
    ("SHOP_CONNECTION", None),
    (None, "Unbekannter Fehler"),
)
IDENTIFIERS = (("4012345000009", "GLN"), ("DE000000000", "VAT"), ("4711", "STORE"), ("K-0815", None), (None, "EORI"))

# Types of handling units from the outermost to the innermost; only PALLET is documented.
PARCEL = ("CARTON",)
PALLETS = (
    ("PALLET",),
    ("PALLET", "CARTON"),
    ("PALLET", "CARTON", "INNER_CARTON"),
    ("PALLET", "LAYER", "CARTON", "INNER_CARTON"),
    ("PALLET", "LAYER", "CARTON", "INNER_CARTON", "UNIT"),
)

PALLET_DEPTHS = (0,) * 4 + (1,) * 8 + (2,) * 5 + (3,) * 2 + (4,)  # indexes into PALLETS, as often as each occurs

# One value for each Stage; the API documents no list of them.
ORDER_STATUS = ("PENDING", "PROCESSING", "PROCESSING", "SHIPPED", "DELIVERED", "COMPLETED")
FULFILLMENT_STATUS = ("NEW", "CONFIRMED", "IN_PICKING", "SHIPPED", "DELIVERED", "DELIVERED")
CONNECTOR_STATUS = ("WAITING", "EXPORTED", "EXPORTED", "REPORTED", "REPORTED", "REPORTED")

# Free-form attributes as JSON text, on purpose with what decoding and encoding again would change: 12.50, a JSON text.
ORDER_ATTRIBUTES = tuple(
    Raw(text.encode())
    for text in (
        "{}",
        '{"gift_wrap":true,"gift_message":"Alles Gute zum Geburtstag! 🎁"}',
        '{"channel":"webshop","campaign":"autumn","coupon":"HERBST10"}',
        '{"channel":"Example Market","marketplace_order":"302-0000001-4711","prime":true}',
        '{"customs":{"incoterm":"DAP","shipping_value":12.50,"documents":["invoice","CN23"]},"export_declaration":null}',
        '{"delivery_window":{"from":"08:00","to":"12:00"},"tail_lift":false}',
        '"{\\"channel\\":\\"B2B\\",\\"cost_centre\\":\\"4711\\",\\"discount\\":2.50}"',
        '{"channel":"retail","store":"Köln, Große Budengasse","pos_receipt":"K-000123"}',
        '{"loyalty_points":120,"first_order":true,"newsletter":false}',
    )
)
POSITION_ATTRIBUTES = tuple(
    Raw(text.encode())
    for text in (
        "{}",
        '{"gift_wrap":true,"wrap_colour":"red"}',
        '{"engraving":"\\"Für Zoë\\"","font":"Garamond"}',
        '{"hs_code":"3304.99","country_of_origin":"DE","customs_value":7.50}',
        '{"options":[{"name":"size","value":"M"},{"name":"colour","value":"navy"}]}',
        '{"personalised":false,"returnable":true}',
        '"{\\"size\\":\\"L\\",\\"surcharge\\":1.10}"',
        '{"batch_note":null,"shelf_life_days":90}',
        '{"discount":0.10,"discount_reason":"autumn sale"}',
    )
)


@cache
def seller_articles(seller: Seller) -> tuple[Article, ...]:
    """All articles of a seller: three variants of each of its goods."""
    return tuple(
        Article(
            sku=f"{seller.prefix}-{100 + number}-{'SML'[number % 3]}",
            name=f"{name}, {('klein', 'mittel', 'groß')[number % 3]}",
            number=number,
            grams=45 + number * number * 37 % 1460,
            cents=205 + number * 1931 % 8999,
        )
        for number, name in enumerate(name for name in seller.goods for _ in range(3))
    )
