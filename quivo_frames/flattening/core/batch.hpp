// The tables of a batch of orders while they grow.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "columns.hpp"
#include "plan.hpp"

namespace quivo {

constexpr uint32_t NO_ROW = UINT32_MAX;

struct Table {
    size_t rows = 0;
    std::vector<Column> columns;
    Buffer<StringView> keys;             // in the arena of the batch
    Buffer<uint32_t> parents, orders;    // rows of the parent table and of the table of orders
    Buffer<int64_t> ordinals, depths;
    Buffer<uint32_t> unit_parents, unit_roots;
    Buffer<size_t> owners;  // the table of the parents; of attributes it differs from row to row

    size_t add_row();
    void rearrange(size_t first, const std::vector<uint32_t> &rows);  // see Column

private:
    static constexpr size_t ROWS_AT_ONCE = 256;
    size_t capacity_ = 0;
};

// What convert.py or the notes must hear about a cell or an object.
enum class RemarkKind : int32_t { UNUSUAL_VALUE, UNKNOWN_FIELD, NOT_FREE_FORM, NO_TIME_ZONE };

struct Remarks {
    size_t count = 0;
    Buffer<int32_t> kinds, tables, places;  // place: the column of a value; the shape of the object with an unknown field
    Buffer<int64_t> rows;
    Buffer<StringView> texts;  // a value; an unknown field: the first character of its value, then its name
    TextArena arena;

    void add(RemarkKind kind, size_t table, size_t place, size_t row, const char *text, size_t length);
};

struct Batch {
    explicit Batch(std::shared_ptr<const Plan> of_plan);

    std::shared_ptr<const Plan> plan;
    std::vector<Table> tables;
    TextArena keys;
    Remarks remarks;
    std::vector<int64_t> places, odd;  // of the orders that were taken, and of those that were not
};

}  // namespace quivo
