// The first look at a file of orders, one a line: ids, sizes and places, without decoding them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace quivo {

struct LineIndex {
    std::vector<int64_t> order_ids, sizes, begins;  // of every line; sizes without blanks at its end
    std::vector<int64_t> unusual;                   // which are for Python to read: blank, several values, another
                                                    // beginning; their id is 0
};

LineIndex index_lines(std::string_view text, std::string_view usual_beginning);

}  // namespace quivo
