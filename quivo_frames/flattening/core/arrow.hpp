// The Arrow C data interface, as published: https://arrow.apache.org/docs/format/CDataInterface.html
#pragma once
#include <cstdint>

extern "C" {
struct ArrowSchema {
    const char *format, *name, *metadata;
    int64_t flags, n_children;
    ArrowSchema **children, *dictionary;
    void (*release)(ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    ArrowArray **children, *dictionary;
    void (*release)(ArrowArray *);
    void *private_data;
};
}

constexpr int64_t ARROW_FLAG_NULLABLE = 2;
