// What flattening needs to know of an order: compiled.py derives it from model/order.py. No field has a name in C++.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "columns.hpp"

namespace quivo {

// How a column of a table is made.
enum class Role : int { VALUE, OWN_KEY, ORDER_ID, PARENT_KEY, INHERITED, ORDINAL, UNIT_PARENT, UNIT_ROOT, DEPTH, OWNER_KEY };

struct OutputColumn {
    std::string name;
    Role role;
    Kind kind;
    int table;   // INHERITED: the table that has the id; OWNER_KEY: the table of the owner
    int column;  // VALUE, INHERITED: the column of values
};

struct TablePlan {
    int parent;  // -1: the table of orders
    bool has_units, has_children;
    std::vector<Kind> kinds;  // of the columns of values
    std::vector<OutputColumn> output;
};

struct Field {
    std::string name;
    Kind kind;
    int target;  // a value: its column; an object: its shape; a list: its table
    int shape;   // a list of objects: the shape of its entries
};

// One record of model/order.py at one place of an order.
class Shape {
public:
    static constexpr size_t MOST_FIELDS = 128;
    int table = 0;
    std::vector<Field> fields;

    void build_index();
    int find(const char *name, size_t length) const;  // -1: no field has this name

private:
    static uint32_t hash(const char *name, size_t length);
    std::vector<int16_t> slots_;
};

struct Plan {
    std::vector<TablePlan> tables;  // parents before their children; the first one is of orders
    std::vector<Shape> shapes;      // the first one is of orders
    int attributes = -1;            // the table of free-form attributes: key, value and value type are its values
    int units = -1;                 // the table of units in units
};

}  // namespace quivo
