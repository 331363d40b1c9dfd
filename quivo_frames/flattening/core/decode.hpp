// One order after another -> rows of all tables: decode.py and collect.py in one pass.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "batch.hpp"
#include "json_text.hpp"

namespace quivo {

class OrderReader {
public:
    explicit OrderReader(Batch &batch) : batch_(batch), plan_(*batch.plan), sizes_(batch.tables.size()) {}

    // Adds the order that the text is, or notes that it is odd: then nothing of it stays.
    // The text has PADDING bytes behind its end, of which the first is zero.
    void read(const char *text, size_t length, int64_t place);

private:
    static constexpr size_t MOST_UNKNOWN_FIELDS = 100;  // of one order; with more it is odd
    static constexpr size_t LONGEST_KEY = 600;

    struct TableSizes {
        size_t rows;
        std::vector<size_t> text_sizes;
    };

    void read_order(const char *text, const char *end);
    int64_t find_order_id(const char *at) const;
    void read_object(const char *&at, size_t shape, size_t row, int depth);
    size_t find_field(const char *&at, const Shape &shape, size_t expected, JsonString &unknown_name);
    void read_unknown_field(const char *&at, size_t shape, size_t row, const JsonString &name, size_t first_of_object);
    void read_field(const char *&at, const Field &field, size_t table, size_t row, int depth);
    void read_value(const char *&at, const Field &field, size_t table, size_t row);
    void read_number(const char *&at, const Field &field, size_t table, size_t row);
    void read_time(const char *&at, const Field &field, size_t table, size_t row);
    void read_money(const char *&at, const Field &field, size_t table, size_t row);
    void read_free_form(const char *&at, const Field &field, size_t table, size_t row);
    void read_list(const char *&at, const Field &field, size_t row, int depth);
    void read_entry(const char *&at, const Field &field, size_t row, int64_t ordinal, int depth);
    size_t add_row(size_t table, size_t parent, StringView key_above, char separator, int64_t ordinal);
    Column &column_of(const Field &field, size_t table) { return batch_.tables[table].columns[field.target]; }
    void set_text(Column &column, size_t row, const JsonString &string);
    void note_unusual(const Field &field, size_t table, size_t row, const char *text, size_t length);

    // custom_attributes.cpp
    void add_attributes(const char *&at, size_t owner_table, size_t owner_row);
    bool read_opened_text(const char *at, size_t table, size_t row);
    void add_attribute_value(const char *&at, size_t row);
    void refuse_repeated_attributes(size_t first) const;

    void remember_sizes();
    void take_back();
    void sort_rows();
    void sort_rows_by_parent(size_t table);

    Batch &batch_;
    const Plan &plan_;
    uint32_t order_row_ = 0;
    std::string decoded_, opened_;
    std::vector<TableSizes> sizes_;
    size_t keys_size_ = 0, remarks_count_ = 0, remarks_size_ = 0, unknown_fields_ = 0;
};

}  // namespace quivo
