#define PY_SSIZE_T_CLEAN
// The Python module quivo_frames._core. No exception of C++ leaves it, and no Python runs while orders are read.
#include <Python.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "decode.hpp"
#include "export.hpp"
#include "order_index.hpp"

namespace {

using namespace quivo;

constexpr const char *PLAN_CAPSULE = "quivo_frames._core.plan";

struct PythonError {};  // an error of Python is set

// A reference that is dropped where its block ends.
class Reference {
public:
    explicit Reference(PyObject *object) : object_(object) {
        if (object_ == nullptr) throw PythonError();
    }
    Reference(const Reference &) = delete;
    ~Reference() { Py_XDECREF(object_); }
    PyObject *get() const { return object_; }
    PyObject *release() { return std::exchange(object_, nullptr); }

private:
    PyObject *object_;
};

class WithoutGil {
public:
    WithoutGil() : state_(PyEval_SaveThread()) {}
    ~WithoutGil() { PyEval_RestoreThread(state_); }

private:
    PyThreadState *state_;
};

class BufferView {
public:
    explicit BufferView(PyObject *object) {
        if (PyObject_GetBuffer(object, &view_, PyBUF_SIMPLE) < 0) throw PythonError();
    }
    BufferView(const BufferView &) = delete;
    ~BufferView() { PyBuffer_Release(&view_); }
    std::string_view text() const { return {static_cast<const char *>(view_.buf), static_cast<size_t>(view_.len)}; }

private:
    Py_buffer view_;
};

template <class Function> PyObject *without_exceptions(Function function) {
    try {
        return function();
    } catch (const PythonError &) {
        return nullptr;
    } catch (const std::bad_alloc &) {
        return PyErr_NoMemory();
    } catch (...) {
        PyErr_SetString(PyExc_RuntimeError, "the compiled core of quivo_frames broke");
        return nullptr;
    }
}

int to_int(PyObject *object) {
    long value = PyLong_AsLong(object);
    if (value == -1 && PyErr_Occurred()) throw PythonError();
    return static_cast<int>(value);
}

std::string to_string(PyObject *object) {
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(object, &size);
    if (text == nullptr) throw PythonError();
    return {text, static_cast<size_t>(size)};
}

// Calls a function with each item of a sequence.
template <class Function> void for_each(PyObject *sequence, Function function) {
    Py_ssize_t size = PySequence_Size(sequence);
    if (size < 0) throw PythonError();
    for (Py_ssize_t i = 0; i < size; i++) {
        Reference item(PySequence_GetItem(sequence, i));
        function(item.get());
    }
}

PyObject *attribute_of(PyObject *object, const char *name) {
    PyObject *found = PyObject_GetAttrString(object, name);
    if (found == nullptr) throw PythonError();
    return found;
}

int int_attribute(PyObject *object, const char *name) { return to_int(Reference(attribute_of(object, name)).get()); }
std::string text_attribute(PyObject *object, const char *name) { return to_string(Reference(attribute_of(object, name)).get()); }

TablePlan read_table_plan(PyObject *from) {
    TablePlan table{int_attribute(from, "parent"), int_attribute(from, "has_units") != 0, int_attribute(from, "has_children") != 0, {}, {}};
    for_each(Reference(attribute_of(from, "kinds")).get(), [&](PyObject *kind) { table.kinds.push_back(Kind(to_int(kind))); });
    for_each(Reference(attribute_of(from, "output")).get(), [&](PyObject *column) {
        table.output.push_back({text_attribute(column, "name"), Role(int_attribute(column, "role")), Kind(int_attribute(column, "kind")),
                                int_attribute(column, "table"), int_attribute(column, "column")});
    });
    return table;
}

Shape read_shape(PyObject *from) {
    Shape shape;
    shape.table = int_attribute(from, "table");
    for_each(Reference(attribute_of(from, "fields")).get(), [&](PyObject *field) {
        shape.fields.push_back({text_attribute(field, "name"), Kind(int_attribute(field, "kind")), int_attribute(field, "target"), int_attribute(field, "shape")});
    });
    if (shape.fields.size() > Shape::MOST_FIELDS) {
        PyErr_SetString(PyExc_ValueError, "a record has more fields than the compiled core knows");
        throw PythonError();
    }
    shape.build_index();
    return shape;
}

void delete_plan(PyObject *capsule) {
    delete static_cast<std::shared_ptr<const Plan> *>(PyCapsule_GetPointer(capsule, PLAN_CAPSULE));
}

PyObject *compile_plan(PyObject *, PyObject *from) {
    return without_exceptions([&] {
        auto plan = std::make_shared<Plan>();
        for_each(Reference(attribute_of(from, "tables")).get(), [&](PyObject *table) { plan->tables.push_back(read_table_plan(table)); });
        for_each(Reference(attribute_of(from, "shapes")).get(), [&](PyObject *shape) { plan->shapes.push_back(read_shape(shape)); });
        plan->attributes = int_attribute(from, "attributes"), plan->units = int_attribute(from, "units");
        auto owner = std::make_unique<std::shared_ptr<const Plan>>(std::move(plan));
        PyObject *capsule = PyCapsule_New(owner.get(), PLAN_CAPSULE, delete_plan);
        if (capsule) owner.release();
        return capsule;
    });
}

void read_orders(Batch &batch, const std::vector<std::string_view> &bodies) {
    OrderReader reader(batch);
    Buffer<char> text;
    for (size_t i = 0; i < bodies.size(); i++) {
        text.reserve(bodies[i].size() + PADDING);
        std::memcpy(text.data(), bodies[i].data(), bodies[i].size());
        std::memset(text.data() + bodies[i].size(), 0, PADDING);
        reader.read(text.data(), bodies[i].size(), static_cast<int64_t>(i));
    }
}

PyObject *to_bytes(const std::vector<int64_t> &numbers) {
    return PyBytes_FromStringAndSize(reinterpret_cast<const char *>(numbers.data()), static_cast<Py_ssize_t>(numbers.size() * sizeof(int64_t)));
}

PyObject *flatten_orders(PyObject *, PyObject *arguments) {
    return without_exceptions([&]() -> PyObject * {
        PyObject *capsule, *bodies;
        if (!PyArg_ParseTuple(arguments, "OO!:flatten_orders", &capsule, &PyList_Type, &bodies)) return nullptr;
        auto *plan = static_cast<std::shared_ptr<const Plan> *>(PyCapsule_GetPointer(capsule, PLAN_CAPSULE));
        if (plan == nullptr) return nullptr;
        auto batch = std::make_shared<Batch>(*plan);
        Reference held(PyList_AsTuple(bodies));  // so that no one takes a body away while the GIL is released
        std::vector<std::string_view> texts;
        for (Py_ssize_t i = 0; i < PyTuple_Size(held.get()); i++) {
            char *text;
            Py_ssize_t size;
            if (PyBytes_AsStringAndSize(PyTuple_GetItem(held.get(), i), &text, &size) < 0) return nullptr;
            texts.emplace_back(text, static_cast<size_t>(size));
        }
        {
            WithoutGil without_gil;
            read_orders(*batch, texts);
        }
        Reference tables(PyList_New(static_cast<Py_ssize_t>(batch->tables.size())));
        for (size_t i = 0; i < batch->tables.size(); i++) {
            Reference table(export_table(batch, i));
            if (PyList_SetItem(tables.get(), static_cast<Py_ssize_t>(i), table.release()) < 0) return nullptr;
        }
        Reference remarks(export_remarks(batch)), places(to_bytes(batch->places)), odd(to_bytes(batch->odd));
        return PyTuple_Pack(4, tables.get(), remarks.get(), places.get(), odd.get());
    });
}

PyObject *index_lines_of(PyObject *, PyObject *arguments) {
    return without_exceptions([&]() -> PyObject * {
        PyObject *object;
        const char *beginning;
        Py_ssize_t beginning_size;
        if (!PyArg_ParseTuple(arguments, "Oy#:index_lines", &object, &beginning, &beginning_size)) return nullptr;
        BufferView buffer(object);
        LineIndex index;
        {
            WithoutGil without_gil;
            index = index_lines(buffer.text(), {beginning, static_cast<size_t>(beginning_size)});
        }
        Reference ids(to_bytes(index.order_ids)), sizes(to_bytes(index.sizes)), begins(to_bytes(index.begins)), unusual(to_bytes(index.unusual));
        return PyTuple_Pack(4, ids.get(), sizes.get(), begins.get(), unusual.get());
    });
}

PyMethodDef METHODS[] = {
    {"compile_plan", compile_plan, METH_O, "The plan of the tables as the other functions take it."},
    {"flatten_orders", flatten_orders, METH_VARARGS,
     "(plan, list of bodies) -> (tables, remarks, places, odd): tables and remarks as pairs of Arrow capsules; as bytes of "
     "int64, the indexes of the bodies that are in the tables, and of those that Python must read."},
    {"index_lines", index_lines_of, METH_VARARGS,
     "(buffer, usual beginning) -> (ids, sizes, begins, unusual) of all lines, as bytes of int64; the id of an "
     "unusual line is 0."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_core", "The compiled core of quivo_frames.", 0, METHODS, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__core() { return PyModuleDef_Init(&MODULE); }
