#include "export.hpp"

#include <vector>

#include "arrow.hpp"

namespace quivo {

namespace {

const char *arrow_format(Kind kind) {
    switch (kind) {
        case Kind::INT64: return "l";
        case Kind::INT32: return "i";
        case Kind::FLAG: return "b";
        case Kind::INSTANT: return "tsu:UTC";
        case Kind::DAY: return "tdD";
        case Kind::MONEY: return "d:18,4";
        case Kind::MEASURE: return "g";
        default: return "vu";
    }
}

alignas(16) constexpr char NO_VALUES[PADDING] = {};  // a buffer must not be null, even if it has no rows

// The buffers of one exported column; the batch lives as long as any of them.
struct ColumnHolder {
    std::shared_ptr<Batch> batch;
    Buffer<char> values;
    Buffer<uint8_t> valid;
    const void *buffers[4];
    int64_t arena_size;
};

struct StructHolder {
    std::shared_ptr<const Plan> plan;  // which has the names
    std::vector<ArrowSchema> schemas;
    std::vector<ArrowSchema *> schema_pointers;
    std::vector<ArrowArray> arrays;
    std::vector<ArrowArray *> array_pointers;
    const void *no_buffer = nullptr;
};

void release_column(ArrowArray *array) {
    delete static_cast<ColumnHolder *>(array->private_data);
    array->release = nullptr;
}

void release_field(ArrowSchema *schema) { schema->release = nullptr; }

template <class Node> void release_struct(Node *node) {
    for (int64_t i = 0; i < node->n_children; i++)
        if (node->children[i]->release) node->children[i]->release(node->children[i]);
    delete static_cast<std::shared_ptr<StructHolder> *>(node->private_data);
    node->release = nullptr;
}

template <class Node> void delete_capsule(PyObject *capsule, const char *name) {
    auto *node = static_cast<Node *>(PyCapsule_GetPointer(capsule, name));
    if (node == nullptr) return PyErr_Clear();
    if (node->release) node->release(node);
    delete node;
}
void delete_schema_capsule(PyObject *capsule) { delete_capsule<ArrowSchema>(capsule, "arrow_schema"); }
void delete_array_capsule(PyObject *capsule) { delete_capsule<ArrowArray>(capsule, "arrow_array"); }

// Builds the columns of one table.
class TableExport {
public:
    TableExport(const std::shared_ptr<Batch> &batch, size_t rows) : batch_(batch), rows_(rows), holder_(std::make_shared<StructHolder>()) {
        holder_->plan = batch->plan;
    }
    ~TableExport() {
        for (ArrowArray &array : holder_->arrays)
            if (!is_handed_over_ && array.release) array.release(&array);
    }

    void add_values(const char *name, const Column &column) {
        auto holder = new_holder();
        const uint8_t *valid = column.set_count() == rows_ ? nullptr : column.validity();
        bool has_arena = is_text(column.kind);
        add(name, column.kind, std::move(holder), valid, column.as<char>(), rows_ - column.set_count(), has_arena ? &column.text : nullptr);
    }
    template <class T> void add_whole(const char *name, Kind kind, const T *values, const TextArena *arena = nullptr) {
        add(name, kind, new_holder(), nullptr, values, 0, arena);
    }
    // A column of values of other rows: `row_of` says of which, or NO_ROW.
    template <class T, class RowOf>
    void add_gathered(const char *name, Kind kind, const T *source, RowOf row_of, const TextArena *arena = nullptr) {
        auto holder = new_holder();
        holder->values.reserve(rows_ * sizeof(T) + 1), holder->valid.reserve(rows_ / 8 + 1);
        holder->valid.clear(0, rows_ / 8 + 1);
        T *values = reinterpret_cast<T *>(holder->values.data());
        size_t nulls = 0;
        for (size_t row = 0; row < rows_; row++) {
            uint32_t from = row_of(row);
            bool is_set = from != NO_ROW;
            values[row] = is_set ? source[from] : T{};
            holder->valid[row >> 3] |= static_cast<uint8_t>(is_set << (row & 7));
            nulls += !is_set;
        }
        const uint8_t *valid = nulls ? holder->valid.data() : nullptr;
        add(name, kind, std::move(holder), valid, values, nulls, arena);
    }

    PyObject *to_capsules() {
        StructHolder &holder = *holder_;
        for (auto &schema : holder.schemas) holder.schema_pointers.push_back(&schema);
        for (auto &array : holder.arrays) holder.array_pointers.push_back(&array);
        auto count = static_cast<int64_t>(holder.arrays.size());
        auto schema_owner = std::make_unique<std::shared_ptr<StructHolder>>(holder_);
        auto array_owner = std::make_unique<std::shared_ptr<StructHolder>>(holder_);
        auto schema = std::make_unique<ArrowSchema>(ArrowSchema{
            "+s", "", nullptr, 0, count, holder.schema_pointers.data(), nullptr, release_struct<ArrowSchema>, schema_owner.get()});
        auto array = std::make_unique<ArrowArray>(ArrowArray{
            static_cast<int64_t>(rows_), 0, 0, 1, count, &holder.no_buffer, holder.array_pointers.data(), nullptr,
            release_struct<ArrowArray>, array_owner.get()});
        is_handed_over_ = true;
        schema_owner.release(), array_owner.release();
        PyObject *schema_capsule = PyCapsule_New(schema.get(), "arrow_schema", delete_schema_capsule);
        if (schema_capsule) schema.release();
        else schema->release(schema.get());
        PyObject *array_capsule = PyCapsule_New(array.get(), "arrow_array", delete_array_capsule);
        if (array_capsule) array.release();
        else array->release(array.get());
        PyObject *pair = schema_capsule && array_capsule ? PyTuple_Pack(2, schema_capsule, array_capsule) : nullptr;
        Py_XDECREF(schema_capsule), Py_XDECREF(array_capsule);
        return pair;
    }

private:
    std::unique_ptr<ColumnHolder> new_holder() const { return std::unique_ptr<ColumnHolder>(new ColumnHolder{batch_, {}, {}, {}, 0}); }
    void add(const char *name, Kind kind, std::unique_ptr<ColumnHolder> holder, const uint8_t *valid,
             const void *values, size_t nulls, const TextArena *arena) {
        holder->buffers[0] = valid, holder->buffers[1] = values ? values : NO_VALUES;
        int64_t buffer_count = 2;
        if (arena) {  // string views: then the buffers that they point into, then the sizes of these
            holder->arena_size = static_cast<int64_t>(arena->size());
            holder->buffers[2] = arena->data() ? arena->data() : NO_VALUES;
            holder->buffers[3] = &holder->arena_size;
            buffer_count = 4;
        }
        holder_->schemas.push_back({arrow_format(kind), name, nullptr, ARROW_FLAG_NULLABLE, 0, nullptr, nullptr, release_field, nullptr});
        holder_->arrays.reserve(holder_->arrays.size() + 1);
        ColumnHolder *owned = holder.release();
        holder_->arrays.push_back({static_cast<int64_t>(rows_), static_cast<int64_t>(nulls), 0, buffer_count, 0,
                                   owned->buffers, nullptr, nullptr, release_column, owned});
    }

    std::shared_ptr<Batch> batch_;
    size_t rows_;
    std::shared_ptr<StructHolder> holder_;
    bool is_handed_over_ = false;
};

// The id of an ancestor's row, found by climbing from table to table.
void add_inherited(TableExport &to, const Batch &batch, size_t number, const OutputColumn &output) {
    std::vector<const uint32_t *> steps;
    for (size_t at = number; at != output.table; at = batch.plan->tables[at].parent)
        steps.push_back(batch.tables[at].parents.data());
    const Column &ids = batch.tables[output.table].columns[output.column];
    to.add_gathered(output.name.c_str(), output.kind, ids.as<int64_t>(), [&](size_t row) {
        for (const uint32_t *parents : steps) row = parents[row];
        return ids.is_set(row) ? static_cast<uint32_t>(row) : NO_ROW;
    });
}

void add_column(TableExport &to, const Batch &batch, size_t number, const OutputColumn &output) {
    const Table &table = batch.tables[number];
    const char *name = output.name.c_str();
    auto add_keys = [&](size_t of, auto row_of) { to.add_gathered(name, Kind::TEXT, batch.tables[of].keys.data(), row_of, &batch.keys); };
    switch (output.role) {
        case Role::VALUE: return to.add_values(name, table.columns[output.column]);
        case Role::OWN_KEY: return to.add_whole(name, Kind::TEXT, table.keys.data(), &batch.keys);
        case Role::ORDINAL: return to.add_whole(name, Kind::INT64, table.ordinals.data());
        case Role::DEPTH: return to.add_whole(name, Kind::INT64, table.depths.data());
        case Role::ORDER_ID: {
            auto *ids = batch.tables[0].columns[0].as<int64_t>();
            return to.add_gathered(name, Kind::INT64, ids, [&](size_t row) { return table.orders[row]; });
        }
        case Role::UNIT_PARENT: return add_keys(number, [&](size_t row) { return table.unit_parents[row]; });
        case Role::UNIT_ROOT: return add_keys(number, [&](size_t row) { return table.unit_roots[row]; });
        case Role::PARENT_KEY:  // null where the parent is in another table
            return add_keys(output.table, [&](size_t row) { return table.owners[row] == output.table ? table.parents[row] : NO_ROW; });
        case Role::INHERITED: return add_inherited(to, batch, number, output);
    }
}

}  // namespace

PyObject *export_table(const std::shared_ptr<Batch> &batch, size_t table) {
    TableExport to(batch, batch->tables[table].rows);
    for (const OutputColumn &output : batch->plan->tables[table].output) add_column(to, *batch, table, output);
    return to.to_capsules();
}

PyObject *export_remarks(const std::shared_ptr<Batch> &batch) {
    const Remarks &remarks = batch->remarks;
    TableExport to(batch, remarks.count);
    to.add_whole("kind", Kind::INT32, remarks.kinds.data());
    to.add_whole("table", Kind::INT32, remarks.tables.data());
    to.add_whole("place", Kind::INT32, remarks.places.data());
    to.add_whole("row", Kind::INT64, remarks.rows.data());
    to.add_whole("text", Kind::TEXT, remarks.texts.data(), &remarks.arena);
    return to.to_capsules();
}

}  // namespace quivo
