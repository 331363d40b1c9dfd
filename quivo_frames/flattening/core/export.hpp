// The tables of a batch -> Arrow arrays for Python, without a copy of the values.
#pragma once
#include <Python.h>

#include <memory>

#include "batch.hpp"

namespace quivo {

// A pair of capsules as `__arrow_c_array__` returns them, with one child a column; nullptr with an error set.
PyObject *export_table(const std::shared_ptr<Batch> &batch, size_t table);
PyObject *export_remarks(const std::shared_ptr<Batch> &batch);

}  // namespace quivo
