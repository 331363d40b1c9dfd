// What flattening needs to know of an order: compiled.py derives it from model/order.py. No field has a name in C++.
#pragma once
#include <cstdint>
#include <istream>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "columns.hpp"

namespace quivo {

constexpr size_t NONE = SIZE_MAX;

// How a column of a table is made.
enum class Role : int { VALUE, OWN_KEY, ORDER_ID, PARENT_KEY, INHERITED, ORDINAL, UNIT_PARENT, UNIT_ROOT, DEPTH };

struct OutputColumn {
    std::string name;
    Role role;
    Kind kind;
    size_t table;   // INHERITED: the table that has the id; PARENT_KEY: the table of the parent
    size_t column;  // VALUE, INHERITED: the column of values
};

struct TablePlan {
    size_t parent;  // NONE: the table of orders
    bool has_children;
    std::vector<Kind> kinds;  // of the columns of values
    std::vector<OutputColumn> output;
};

struct Field {
    std::string name;
    Kind kind;
    size_t target;  // a value: its column; a list: its table
    size_t shape;   // an object, or a list of them: its shape
};

// One record of model/order.py at one place of an order.
struct Shape {
    static constexpr size_t MOST_FIELDS = 128, LONGEST_NAME = PADDING - 2;  // it is read beside the end of the text
    size_t table = 0;
    std::vector<Field> fields;
    std::unordered_map<std::string_view, size_t> indexes;  // by name
};

struct Plan {
    static constexpr size_t VERSION = 1;  // as in compiled.py: one more with each change of what Python and C++ exchange
    size_t attributes;  // the table of free-form attributes: key, value and value type are its values
    size_t units;       // the table of units in units
    std::vector<TablePlan> tables;  // parents before their children; the first one is of orders
    std::vector<Shape> shapes;      // the first one is of orders, and its first field the id

    explicit Plan(std::istream &numbers_and_names);  // as compiled.py writes it; throws std::invalid_argument
};

}  // namespace quivo
