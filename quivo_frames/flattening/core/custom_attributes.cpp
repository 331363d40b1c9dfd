// The free-form objects of orders -> rows of custom_attributes, as custom_attributes.py makes them.
#include <cstring>
#include <unordered_set>

#include "decode.hpp"

namespace quivo {

namespace {

enum AttributeColumn : size_t { KEY, VALUE, VALUE_TYPE };
constexpr size_t FEW_ATTRIBUTES = 24;  // compared each with each: faster than a set up to here

const char *json_type(char first) {
    switch (first) {
        case '"': return "string";
        case '{': return "object";
        case '[': return "array";
        case 't': case 'f': return "boolean";
        case 'n': return "null";
        default: return "number";
    }
}

}  // namespace

void OrderReader::read_free_form(const char *&at, const Field &field, int table, size_t row) {
    const char *text = at;
    if (*at == '"') {  // some shops write the object as a JSON text
        JsonString string = read_string(at);
        if (!decode_string(string, opened_)) throw OddOrder();
    } else {
        skip_value(at);
    }
    Column &column = batch_.tables[static_cast<size_t>(table)].columns[static_cast<size_t>(field.target)];
    column.set_text(row, text, static_cast<size_t>(at - text));
    const char *begin = text, *end = at;
    if (*text == '"') {
        size_t length = opened_.size();
        opened_.append(PADDING, '\0');
        begin = opened_.data(), end = begin + length;
    }
    skip_blanks(begin);
    if (*begin == '{') add_attributes(begin, end, table, row);
    else batch_.remarks.add(RemarkKind::NOT_FREE_FORM, table, field.target, row, "", 0);
}

void OrderReader::add_attributes(const char *at, const char *end, int owner_table, size_t owner_row) {
    Table &attributes = batch_.tables[static_cast<size_t>(plan_.attributes)];
    size_t first = attributes.rows;
    expect(at, '{');
    skip_blanks(at);
    if (*at == '}') {
        at++;
    } else {
        int64_t ordinal = 0;
        do {
            JsonString key = read_string(at);
            size_t row = attributes.add_row();
            attributes.parents[row] = static_cast<uint32_t>(owner_row), attributes.owners[row] = owner_table;
            attributes.orders[row] = order_row_, attributes.ordinals[row] = ordinal;
            const Table &owners = batch_.tables[static_cast<size_t>(owner_table)];
            set_key(attributes.keys[row], owners.keys[owner_row], '/', ordinal++);
            set_text(attributes.columns[KEY], row, key);
            skip_blanks(at);
            expect(at, ':');
            skip_blanks(at);
            add_attribute_value(at, row);
        } while (next_element(at, '}'));
    }
    while (at < end && is_blank(*at)) at++;
    if (at != end) throw OddOrder();
    refuse_repeated_attributes(first);
}

void OrderReader::add_attribute_value(const char *&at, size_t row) {
    Table &attributes = batch_.tables[static_cast<size_t>(plan_.attributes)];
    const char *text = at, *type = json_type(*at);
    if (*text == '"') {
        set_text(attributes.columns[VALUE], row, read_string(at));
    } else {
        skip_value(at);
        if (*text != 'n') attributes.columns[VALUE].set_text(row, text, static_cast<size_t>(at - text));
    }
    attributes.columns[VALUE_TYPE].set_text(row, type, std::strlen(type));
}

// Of a key that stands twice custom_attributes.py takes the last value, and notes it.
void OrderReader::refuse_repeated_attributes(size_t first) const {
    const Table &attributes = batch_.tables[static_cast<size_t>(plan_.attributes)];
    const Column &column = attributes.columns[KEY];
    const StringView *keys = column.as<StringView>();
    if (attributes.rows - first <= FEW_ATTRIBUTES) {
        for (size_t row = first + 1; row < attributes.rows; row++)
            for (size_t other = first; other < row; other++)
                if (column.text.equal(keys[row], keys[other])) throw OddOrder();
        return;
    }
    std::unordered_set<std::string_view> seen;
    for (size_t row = first; row < attributes.rows; row++)
        if (!seen.emplace(column.text.at(keys[row]), keys[row].length).second) throw OddOrder();
}

}  // namespace quivo
