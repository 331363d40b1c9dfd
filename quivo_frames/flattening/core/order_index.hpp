// The first look at a file of orders, one a line: ids, sizes and places, without decoding them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace quivo {

struct LineIndex {
    std::vector<int64_t> order_ids, sizes, begins;  // of the lines that are not blank; begins count from the first byte
    std::vector<int64_t> unusual;                   // which of these do not begin with the id as usual; their id is 0
};

LineIndex index_lines(std::string_view text, std::string_view usual_beginning);

}  // namespace quivo
