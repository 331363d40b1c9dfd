// The Python module quivo_frames._core: orders as JSON bytes -> Arrow columns.
#include <Python.h>

static PyMethodDef METHODS[] = {{nullptr, nullptr, 0, nullptr}};
static PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_core", "The compiled core of quivo_frames.", 0, METHODS,
                             nullptr, nullptr, nullptr, nullptr};

PyMODINIT_FUNC PyInit__core() { return PyModuleDef_Init(&MODULE); }
