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

void OrderReader::read_free_form(const char *&at, const Field &field, size_t table, size_t row) {
    const char *text = at;
    if (*at == '{') {
        add_attributes(at, table, row);
    } else {
        skip_value(at);
        if (*text != '"' || !read_opened_text(text, table, row))
            batch_.remarks.add(RemarkKind::NOT_FREE_FORM, table, field.target, row, "", 0);
    }
    column_of(field, table).set_text(row, text, static_cast<size_t>(at - text));
}

// Some shops write the object as a JSON text. False: the text is of something else.
bool OrderReader::read_opened_text(const char *at, size_t table, size_t row) {
    if (!decode_string(read_string(at), opened_)) throw OddOrder();
    size_t length = opened_.size();
    opened_.append(PADDING, '\0');
    at = opened_.data();
    const char *end = at + length;
    skip_blanks(at);
    if (*at != '{') return false;
    add_attributes(at, table, row);
    skip_blanks(at);
    if (at != end) throw OddOrder();
    return true;
}

void OrderReader::add_attributes(const char *&at, size_t owner_table, size_t owner_row) {
    Table &attributes = batch_.tables[plan_.attributes];
    size_t first = attributes.rows;
    int64_t ordinal = 0;
    if (begin_elements(at, '{', '}')) do {
        JsonString key = read_string(at);
        size_t row = add_row(plan_.attributes, owner_row, batch_.tables[owner_table].keys[owner_row], '/', ordinal++);
        attributes.owners[row] = owner_table;
        set_text(attributes.columns[KEY], row, key);
        expect_colon(at);
        add_attribute_value(at, row);
    } while (next_element(at, '}'));
    refuse_repeated_attributes(first);
}

void OrderReader::add_attribute_value(const char *&at, size_t row) {
    Table &attributes = batch_.tables[plan_.attributes];
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
    const Table &attributes = batch_.tables[plan_.attributes];
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
