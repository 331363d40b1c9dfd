// The Python module quivo_frames._core. No exception of C++ leaves it, and no Python runs while orders are read.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstring>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "decode.hpp"
#include "export.hpp"
#include "order_index.hpp"

namespace {

using namespace quivo;
using SharedPlan = std::shared_ptr<const Plan>;

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

struct HeldBuffer : Py_buffer {
    ~HeldBuffer() { PyBuffer_Release(this); }
};

template <class Function> PyObject *without_exceptions(Function function) {
    try {
        return function();
    } catch (const PythonError &) {
        return nullptr;
    } catch (const std::bad_alloc &) {
        return PyErr_NoMemory();
    } catch (const std::exception &error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    } catch (...) {
        PyErr_SetString(PyExc_RuntimeError, "the compiled core of quivo_frames broke");
    }
    return nullptr;
}

void delete_plan(PyObject *capsule) { delete static_cast<SharedPlan *>(PyCapsule_GetPointer(capsule, PLAN_CAPSULE)); }

PyObject *compile_plan(PyObject *, PyObject *text) {
    return without_exceptions([&]() -> PyObject * {
        const char *begin = PyUnicode_AsUTF8AndSize(text, nullptr);
        if (begin == nullptr) return nullptr;
        std::istringstream from(begin);
        auto plan = std::make_unique<SharedPlan>(std::make_shared<const Plan>(from));
        PyObject *capsule = PyCapsule_New(plan.get(), PLAN_CAPSULE, delete_plan);
        if (capsule) plan.release();
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
    auto size = static_cast<Py_ssize_t>(numbers.size() * sizeof(int64_t));
    return PyBytes_FromStringAndSize(reinterpret_cast<const char *>(numbers.data()), size);
}

PyObject *flatten_orders(PyObject *, PyObject *arguments) {
    return without_exceptions([&]() -> PyObject * {
        PyObject *capsule, *bodies;
        if (!PyArg_ParseTuple(arguments, "OO!:flatten_orders", &capsule, &PyList_Type, &bodies)) return nullptr;
        auto *plan = static_cast<SharedPlan *>(PyCapsule_GetPointer(capsule, PLAN_CAPSULE));
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
        HeldBuffer buffer{};
        const char *beginning;
        Py_ssize_t size;
        if (!PyArg_ParseTuple(arguments, "y*y#:index_lines", static_cast<Py_buffer *>(&buffer), &beginning, &size)) return nullptr;
        LineIndex index;
        {
            WithoutGil without_gil;
            std::string_view text(static_cast<const char *>(buffer.buf), static_cast<size_t>(buffer.len));
            index = index_lines(text, {beginning, static_cast<size_t>(size)});
        }
        Reference ids(to_bytes(index.order_ids)), sizes(to_bytes(index.sizes)), begins(to_bytes(index.begins));
        Reference unusual(to_bytes(index.unusual));
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
