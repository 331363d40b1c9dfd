#include "batch.hpp"

namespace quivo {

size_t Table::add_row() {
    if (rows == capacity_) {
        size_t capacity = capacity_ + ROWS_AT_ONCE;
        if (capacity >= NO_ROW) throw OddOrder();
        for (Column &column : columns) column.add_rows(capacity_, capacity);
        keys.reserve(capacity), parents.reserve(capacity), orders.reserve(capacity), ordinals.reserve(capacity);
        depths.reserve(capacity), unit_parents.reserve(capacity), unit_roots.reserve(capacity), owners.reserve(capacity);
        capacity_ = capacity;
    }
    return rows++;
}

void Table::rearrange(size_t first, const std::vector<uint32_t> &new_rows) {
    for (Column &column : columns) column.rearrange(first, new_rows);
    auto rearrange_buffer = [&](auto &buffer) {
        std::vector<std::remove_reference_t<decltype(buffer[0])>> values;
        for (uint32_t row : new_rows) values.push_back(buffer[row]);
        std::copy(values.begin(), values.end(), buffer.data() + first);
    };
    rearrange_buffer(keys), rearrange_buffer(parents), rearrange_buffer(orders), rearrange_buffer(ordinals);
    rearrange_buffer(owners);
}

void Remarks::add(RemarkKind kind, size_t table, size_t place, size_t row, const char *text, size_t length) {
    kinds.reserve(count + 1), tables.reserve(count + 1), places.reserve(count + 1), rows.reserve(count + 1);
    texts.reserve(count + 1);
    kinds[count] = static_cast<int32_t>(kind), tables[count] = static_cast<int32_t>(table);
    places[count] = static_cast<int32_t>(place), rows[count] = static_cast<int64_t>(row);
    arena.put(texts[count], text, length);
    count++;
}

Batch::Batch(std::shared_ptr<const Plan> of_plan) : plan(std::move(of_plan)), tables(plan->tables.size()) {
    for (size_t i = 0; i < tables.size(); i++) {
        tables[i].columns = std::vector<Column>(plan->tables[i].kinds.size());
        for (size_t j = 0; j < tables[i].columns.size(); j++) tables[i].columns[j].kind = plan->tables[i].kinds[j];
    }
}

}  // namespace quivo
