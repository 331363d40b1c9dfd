#include "decode.hpp"

#include <algorithm>
#include <bitset>
#include <charconv>
#include <cstring>
#include <numeric>
#include <utility>

#include "convert.hpp"

namespace quivo {

namespace {

constexpr size_t LONGEST_MEASURE = 40;      // of longer numbers a double may hold no value at all
constexpr size_t LONGEST_EXACT_FLOAT = 15;  // of longer numbers a message shows the text, see is_long_number in exact.py

}  // namespace

void OrderReader::read(const char *text, size_t length, int64_t place) {
    remember_sizes();
    try {
        read_order(text, text + length);
        batch_.places.push_back(place);
    } catch (const OddOrder &) {
        take_back();
        batch_.odd.push_back(place);
    }
}

void OrderReader::read_order(const char *text, const char *end) {
    const char *at = text;
    skip_blanks(at);
    Table &orders = batch_.tables[0];
    size_t row = orders.add_row();
    order_row_ = orders.orders[row] = static_cast<uint32_t>(row);
    char key[24];
    char *key_end = std::to_chars(key, key + sizeof key, find_order_id(at)).ptr;  // the rows of its lists need it
    batch_.keys.put(orders.keys[row], key, static_cast<size_t>(key_end - key));
    read_object(at, 0, row, 0);
    skip_blanks(at);
    if (at != end || !orders.columns[0].is_set(row)) throw OddOrder();
    sort_rows();
}

// The id of the order, which may stand behind other fields.
int64_t OrderReader::find_order_id(const char *at) const {
    const std::string &id_name = plan_.shapes[0].fields[0].name;
    if (begin_elements(at, '{', '}')) do {
        JsonString name = read_string(at);
        expect_colon(at);
        const char *value = at;
        if (std::string_view(name.begin, name.length) == id_name) {
            skip_number(at);
            int64_t order_id;
            if (!read_integer(value, static_cast<size_t>(at - value), order_id)) throw OddOrder();
            return order_id;
        }
        skip_value(at);
    } while (next_element(at, '}'));
    throw OddOrder();
}

void OrderReader::read_object(const char *&at, size_t shape_number, size_t row, int depth) {
    if (depth > DEEPEST_OBJECT) throw OddOrder();
    const Shape &shape = plan_.shapes[shape_number];
    std::bitset<Shape::MOST_FIELDS> seen;
    size_t expected = 0, first_remark = batch_.remarks.count;
    if (begin_elements(at, '{', '}')) do {
        JsonString unknown_name;
        size_t field = find_field(at, shape, expected, unknown_name);
        expect_colon(at);
        if (field == NONE) {
            read_unknown_field(at, shape_number, row, unknown_name, first_remark);
            continue;
        }
        if (seen[field]) throw OddOrder();  // no one can tell which of them is meant
        seen[field] = true;
        read_field(at, shape.fields[field], shape.table, row, depth);
        expected = field + 1;
    } while (next_element(at, '}'));
}

// The index of the field whose name stands here; NONE and its name if it is unknown.
size_t OrderReader::find_field(const char *&at, const Shape &shape, size_t expected, JsonString &unknown_name) {
    // Nearly always the fields come as they are described: one comparison in place of a scan and a search.
    if (expected < shape.fields.size() && *at == '"') {
        const std::string &name = shape.fields[expected].name;
        if (!std::memcmp(at + 1, name.data(), name.size()) && at[1 + name.size()] == '"') {
            at += name.size() + 2;
            return expected;
        }
    }
    unknown_name = read_string(at);
    if (unknown_name.is_escaped) throw OddOrder();
    auto found = shape.indexes.find({unknown_name.begin, unknown_name.length});
    return found == shape.indexes.end() ? NONE : found->second;
}

void OrderReader::read_unknown_field(
    const char *&at, size_t shape, size_t row, const JsonString &name, size_t first_of_object) {
    if (++unknown_fields_ > MOST_UNKNOWN_FIELDS) throw OddOrder();
    std::string text(1, *at);
    text.append(name.begin, name.length);
    Remarks &remarks = batch_.remarks;
    for (size_t i = first_of_object; i < remarks.count; i++) {  // null values are there as well, so that none repeats
        std::string_view other(remarks.arena.at(remarks.texts[i]), remarks.texts[i].length);
        bool is_same_object = remarks.places[i] == static_cast<int32_t>(shape) && remarks.rows[i] == static_cast<int64_t>(row);
        bool is_unknown = remarks.kinds[i] == static_cast<int32_t>(RemarkKind::UNKNOWN_FIELD);
        if (is_unknown && is_same_object && other.substr(1) == std::string_view(text).substr(1)) throw OddOrder();
    }
    skip_value(at);
    remarks.add(RemarkKind::UNKNOWN_FIELD, plan_.shapes[shape].table, shape, row, text.data(), text.size());
}

void OrderReader::read_field(const char *&at, const Field &field, size_t table, size_t row, int depth) {
    if (*at == 'n') skip_null(at);
    else if (field.kind < Kind::OBJECT) read_value(at, field, table, row);
    else if (field.kind == Kind::OBJECT) read_object(at, field.shape, row, depth + 1);
    else read_list(at, field, row, depth);
}

void OrderReader::read_value(const char *&at, const Field &field, size_t table, size_t row) {
    Column &column = column_of(field, table);
    switch (field.kind) {
        case Kind::TEXT: set_text(column, row, read_string(at)); return;
        case Kind::FLAG: column.set_flag(row, read_flag(at)); return;
        case Kind::INSTANT: case Kind::DAY: read_time(at, field, table, row); return;
        case Kind::MONEY: read_money(at, field, table, row); return;
        case Kind::JSON: read_free_form(at, field, table, row); return;
        default: read_number(at, field, table, row);
    }
}

void OrderReader::set_text(Column &column, size_t row, const JsonString &string) {
    if (!string.is_escaped) {
        column.set_text(row, string.begin, string.length);
        return;
    }
    if (!decode_string(string, decoded_)) throw OddOrder();
    column.set_text(row, decoded_.data(), decoded_.size());
}

void OrderReader::note_unusual(const Field &field, size_t table, size_t row, const char *text, size_t length) {
    batch_.remarks.add(RemarkKind::UNUSUAL_VALUE, table, field.target, row, text, length);
}

void OrderReader::read_number(const char *&at, const Field &field, size_t table, size_t row) {
    Column &column = column_of(field, table);
    const char *text = at;
    skip_number(at);
    size_t length = static_cast<size_t>(at - text);
    int64_t integer;
    double measure;
    if (field.kind == Kind::MEASURE) {
        if (quivo::read_measure(text, length, measure)) column.set(row, measure);
        else if (length <= LONGEST_MEASURE && is_plain_number(text, length)) note_unusual(field, table, row, text, length);
        else throw OddOrder();
    } else if (!read_integer(text, length, integer) && !read_whole_float(text, length, integer)) {
        if (length > LONGEST_EXACT_FLOAT || !is_plain_number(text, length)) throw OddOrder();
        note_unusual(field, table, row, text, length);
    } else if (field.kind == Kind::INT64) {
        column.set(row, integer);
    } else if (integer == static_cast<int32_t>(integer)) {
        column.set(row, static_cast<int32_t>(integer));
    } else {
        note_unusual(field, table, row, text, length);
    }
}

void OrderReader::read_time(const char *&at, const Field &field, size_t table, size_t row) {
    Column &column = column_of(field, table);
    JsonString string = read_string(at);
    int64_t microseconds;
    int32_t days;
    bool has_zone;
    if (string.is_escaped) {
        if (!decode_string(string, decoded_)) throw OddOrder();
        note_unusual(field, table, row, decoded_.data(), decoded_.size());
    } else if (field.kind == Kind::INSTANT && read_instant(string.begin, string.length, microseconds, has_zone)) {
        column.set(row, microseconds);
        if (!has_zone) batch_.remarks.add(RemarkKind::NO_TIME_ZONE, table, field.target, row, "", 0);
    } else if (field.kind == Kind::DAY && read_day(string.begin, string.length, days)) {
        column.set(row, days);
    } else {
        note_unusual(field, table, row, string.begin, string.length);
    }
}

void OrderReader::read_money(const char *&at, const Field &field, size_t table, size_t row) {
    Column &column = column_of(field, table);
    const char *text = at;
    skip_value(at);
    size_t length = static_cast<size_t>(at - text);
    int64_t ten_thousandths;
    if (quivo::read_money(text, length, ten_thousandths)) column.set_money(row, ten_thousandths);
    else note_unusual(field, table, row, text, length);
}

void OrderReader::read_list(const char *&at, const Field &field, size_t row, int depth) {
    int64_t ordinal = 0;
    if (begin_elements(at, '[', ']')) do {
        if (*at == 'n') skip_null(at);  // the ordinals keep its gap
        else read_entry(at, field, row, ordinal, depth);
        ordinal++;
    } while (next_element(at, ']'));
}

void OrderReader::read_entry(const char *&at, const Field &field, size_t row, int64_t ordinal, int depth) {
    Table &table = batch_.tables[field.target];
    if (field.kind == Kind::UNIT_LIST) {  // units in a unit are rows of its own table
        size_t entry = add_row(field.target, table.parents[row], table.keys[row], '.', ordinal);
        table.unit_parents[entry] = static_cast<uint32_t>(row), table.unit_roots[entry] = table.unit_roots[row];
        table.depths[entry] = table.depths[row] + 1;
        return read_object(at, field.shape, entry, depth + 1);
    }
    const Table &above = batch_.tables[plan_.tables[field.target].parent];
    size_t entry = add_row(field.target, row, above.keys[row], '/', ordinal);
    if (field.kind == Kind::TEXT_LIST) return set_text(table.columns[0], entry, read_string(at));
    table.unit_parents[entry] = NO_ROW, table.unit_roots[entry] = static_cast<uint32_t>(entry);
    table.depths[entry] = 0;
    read_object(at, field.shape, entry, depth + 1);
}

size_t OrderReader::add_row(size_t number, size_t parent, StringView key_above, char separator, int64_t ordinal) {
    Table &table = batch_.tables[number];
    size_t row = table.add_row();
    table.parents[row] = static_cast<uint32_t>(parent), table.orders[row] = order_row_, table.ordinals[row] = ordinal;
    table.owners[row] = plan_.tables[number].parent;
    char key[LONGEST_KEY + 24];
    if (key_above.length > LONGEST_KEY) throw OddOrder();
    std::memcpy(key, batch_.keys.at(key_above), key_above.length);
    char *end = key + key_above.length;
    *end++ = separator;
    end = std::to_chars(end, key + sizeof key, ordinal).ptr;
    batch_.keys.put(table.keys[row], key, static_cast<size_t>(end - key));
    return row;
}

void OrderReader::remember_sizes() {
    for (size_t i = 0; i < sizes_.size(); i++) {
        const Table &table = batch_.tables[i];
        sizes_[i].rows = table.rows;
        sizes_[i].text_sizes.resize(table.columns.size());
        for (size_t j = 0; j < table.columns.size(); j++) sizes_[i].text_sizes[j] = table.columns[j].text.size();
    }
    keys_size_ = batch_.keys.size();
    remarks_count_ = batch_.remarks.count, remarks_size_ = batch_.remarks.arena.size();
    unknown_fields_ = 0;
}

void OrderReader::take_back() {
    for (size_t i = 0; i < sizes_.size(); i++) {
        Table &table = batch_.tables[i];
        for (size_t j = 0; j < table.columns.size(); j++)
            table.columns[j].clear(sizes_[i].rows, table.rows, sizes_[i].text_sizes[j]);
        table.rows = sizes_[i].rows;
    }
    batch_.keys.shrink_to(keys_size_);
    batch_.remarks.count = remarks_count_, batch_.remarks.arena.shrink_to(remarks_size_);
}

// Rows stand as their parents do, and attributes first as the tables of their owners, whatever comes first in the JSON.
void OrderReader::sort_rows() {
    for (size_t i = 0; i < plan_.tables.size(); i++)
        if (i == plan_.attributes || plan_.tables[i].parent == plan_.units) sort_rows_by_parent(i);
}

void OrderReader::sort_rows_by_parent(size_t number) {
    Table &table = batch_.tables[number];
    size_t first = sizes_[number].rows;
    auto comes_first = [&](size_t one, size_t other) {
        return std::pair(table.owners[one], table.parents[one]) < std::pair(table.owners[other], table.parents[other]);
    };
    size_t row = first + 1;
    while (row < table.rows && !comes_first(row, row - 1)) row++;
    if (row >= table.rows) return;
    if (plan_.tables[number].has_children) throw OddOrder();
    std::vector<uint32_t> rows(table.rows - first);
    std::iota(rows.begin(), rows.end(), static_cast<uint32_t>(first));
    std::stable_sort(rows.begin(), rows.end(), comes_first);
    table.rearrange(first, rows);
    std::vector<int64_t> new_rows(rows.size());
    for (size_t i = 0; i < rows.size(); i++) new_rows[rows[i] - first] = static_cast<int64_t>(first + i);
    Remarks &remarks = batch_.remarks;
    for (size_t i = remarks_count_; i < remarks.count; i++)
        if (remarks.tables[i] == static_cast<int32_t>(number))
            remarks.rows[i] = new_rows[static_cast<size_t>(remarks.rows[i]) - first];
}

}  // namespace quivo
