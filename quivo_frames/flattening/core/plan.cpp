#include "plan.hpp"

#include <cstring>
#include <stdexcept>

namespace quivo {

Plan::Plan(std::istream &from) {
    auto number = [&] {
        long long found = 0;
        from >> found;
        return static_cast<size_t>(found);
    };
    auto name = [&] {
        std::string found;
        from >> found;
        return found;
    };
    auto kind = [&] { return static_cast<Kind>(number()); };
    attributes = number(), units = number();
    tables.resize(number()), shapes.resize(number());
    for (TablePlan &table : tables) {
        table.parent = number(), table.has_children = number() != 0;
        for (size_t left = number(); left > 0 && from; left--) table.kinds.push_back(kind());
        for (size_t left = number(); left > 0 && from; left--)
            table.output.push_back({name(), static_cast<Role>(number()), kind(), number(), number()});
    }
    for (Shape &shape : shapes) {
        shape.table = number();
        for (size_t left = number(); left > 0 && from; left--) shape.fields.push_back({name(), kind(), number(), number()});
        if (shape.fields.size() > Shape::MOST_FIELDS) throw std::invalid_argument("a record has too many fields");
        shape.build_index();
    }
    if (!from || tables.empty() || shapes.empty()) throw std::invalid_argument("the plan cannot be read");
}

size_t Shape::hash(const char *name, size_t length) {
    uint64_t head = 0, tail = 0;
    std::memcpy(&head, name, length < 8 ? length : 8);
    if (length >= 8) std::memcpy(&tail, name + length - 8, 8);
    return ((head ^ (tail * 0x9E3779B97F4A7C15ull) ^ length) * 0xff51afd7ed558ccdull) >> 40;
}

void Shape::build_index() {
    size_t size = 1;
    while (size < fields.size() * 4) size *= 2;  // never full, so that every search ends
    slots_.assign(size, NONE);
    for (size_t i = 0; i < fields.size(); i++) {
        size_t slot = hash(fields[i].name.data(), fields[i].name.size()) & (size - 1);
        while (slots_[slot] != NONE) slot = (slot + 1) & (size - 1);
        slots_[slot] = i;
    }
}

size_t Shape::find(const char *name, size_t length) const {
    size_t mask = slots_.size() - 1;
    for (size_t slot = hash(name, length) & mask; slots_[slot] != NONE; slot = (slot + 1) & mask) {
        const std::string &found = fields[slots_[slot]].name;
        if (found.size() == length && !std::memcmp(found.data(), name, length)) return slots_[slot];
    }
    return NONE;
}

}  // namespace quivo
