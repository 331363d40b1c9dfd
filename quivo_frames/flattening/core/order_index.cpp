#include "order_index.hpp"

#include <cstring>

#include "convert.hpp"
#include "json_text.hpp"

namespace quivo {

namespace {

bool ends_line(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }  // what Python strips from bytes

// The id behind `{"orderId":` at the beginning of a line, if a comma or the end of the object follows.
bool read_usual_id(std::string_view line, std::string_view usual_beginning, int64_t &order_id) {
    if (!line.starts_with(usual_beginning)) return false;
    size_t begin = usual_beginning.size(), end = begin;
    if (end < line.size() && line[end] == '-') end++;
    size_t first_digit = end;
    while (end < line.size() && is_digit(line[end])) end++;
    bool is_canonical = end > first_digit && (line[first_digit] != '0' || end - begin == 1);
    bool is_followed = end < line.size() && (line[end] == ',' || line[end] == '}');
    return is_canonical && is_followed && read_integer(line.data() + begin, end - begin, order_id);
}

// Whether the end of an object may be followed by another object: then a line may hold several orders.
bool has_value_behind_value(std::string_view line) {
    for (size_t at = line.find('}'); at != line.npos; at = line.find('}', at)) {
        do at++;
        while (at < line.size() && (line[at] == ' ' || line[at] == '\t' || line[at] == '\r'));
        if (at < line.size() && line[at] == '{') return true;
    }
    return false;
}

}  // namespace

LineIndex index_lines(std::string_view text, std::string_view usual_beginning) {
    LineIndex index;
    const char *at = text.data(), *end = at + text.size();
    while (at < end) {
        auto line_end = static_cast<const char *>(std::memchr(at, '\n', static_cast<size_t>(end - at)));
        if (line_end == nullptr) line_end = end;
        std::string_view line(at, static_cast<size_t>(line_end - at));
        while (!line.empty() && ends_line(line.back())) line.remove_suffix(1);
        int64_t order_id = 0;
        if (!read_usual_id(line, usual_beginning, order_id) || has_value_behind_value(line)) {
            index.unusual.push_back(static_cast<int64_t>(index.order_ids.size()));
            order_id = 0;
        }
        index.order_ids.push_back(order_id);
        index.sizes.push_back(static_cast<int64_t>(line.size()));
        index.begins.push_back(at - text.data());
        at = line_end == end ? end : line_end + 1;
    }
    return index;
}

}  // namespace quivo
