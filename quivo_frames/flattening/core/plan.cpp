#include "plan.hpp"

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
    if (number() != VERSION) throw std::invalid_argument("the plan is of another version of the core");
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
        for (size_t i = 0; i < shape.fields.size(); i++) {
            shape.indexes[shape.fields[i].name] = i;
            if (shape.fields[i].name.size() > Shape::LONGEST_NAME) throw std::invalid_argument("a field has too long a name");
        }
    }
    if (!from || tables.empty() || shapes.empty()) throw std::invalid_argument("the plan cannot be read");
}

}  // namespace quivo
