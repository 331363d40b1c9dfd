#include "plan.hpp"

#include <cstring>

namespace quivo {

uint32_t Shape::hash(const char *name, size_t length) {
    uint64_t head = 0, tail = 0;
    if (length >= 8) {
        std::memcpy(&head, name, 8);
        std::memcpy(&tail, name + length - 8, 8);
    } else {
        std::memcpy(&head, name, length);
    }
    return static_cast<uint32_t>(((head ^ (tail * 0x9E3779B97F4A7C15ull) ^ length) * 0xff51afd7ed558ccdull) >> 40);
}

void Shape::build_index() {
    size_t size = 1;
    while (size < fields.size() * 4) size *= 2;  // never full, so that every search ends
    slots_.assign(size, -1);
    for (size_t i = 0; i < fields.size(); i++) {
        size_t slot = hash(fields[i].name.data(), fields[i].name.size()) & (size - 1);
        while (slots_[slot] >= 0) slot = (slot + 1) & (size - 1);
        slots_[slot] = static_cast<int16_t>(i);
    }
}

int Shape::find(const char *name, size_t length) const {
    size_t mask = slots_.size() - 1;
    for (size_t slot = hash(name, length) & mask; slots_[slot] >= 0; slot = (slot + 1) & mask) {
        const std::string &found = fields[slots_[slot]].name;
        if (found.size() == length && !std::memcmp(found.data(), name, length)) return slots_[slot];
    }
    return -1;
}

}  // namespace quivo
