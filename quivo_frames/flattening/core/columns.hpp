// Columns that grow row by row, in the layout of Arrow, so that they are handed over without a copy.
#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

namespace quivo {

// Elsewhere nothing is compiled, and the core in Python does its work.
static_assert(std::endian::native == std::endian::little && sizeof(size_t) == 8);

// Readable bytes behind every text of JSON: what is searched in steps of 16 looks behind its end.
constexpr size_t PADDING = 64;

// The order in hand is not for this core: it is taken back, and Python reads it.
struct OddOrder {};

enum class Kind : int { TEXT, INT64, INT32, FLAG, INSTANT, DAY, MONEY, MEASURE, JSON, OBJECT, LIST, TEXT_LIST, UNIT_LIST };

constexpr bool is_text(Kind kind) { return kind == Kind::TEXT || kind == Kind::JSON; }

// Bytes of a value; 0: one bit.
constexpr size_t value_bytes(Kind kind) {
    switch (kind) {
        case Kind::TEXT: case Kind::JSON: case Kind::MONEY: return 16;
        case Kind::INT32: case Kind::DAY: return 4;
        case Kind::FLAG: return 0;
        default: return 8;
    }
}

// Memory that grows, or throws std::bad_alloc. It is not set to zero: pages that nothing is written to cost nothing.
template <class T> class Buffer {
public:
    Buffer() = default;
    Buffer(Buffer &&other) noexcept : data_(other.data_), capacity_(other.capacity_) { other.data_ = nullptr, other.capacity_ = 0; }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
    ~Buffer() { std::free(data_); }

    void reserve(size_t count) {
        if (count <= capacity_) return;
        size_t capacity = std::max(count, capacity_ * 2);
        if (capacity > (SIZE_MAX / 2 - PADDING) / sizeof(T)) throw std::bad_alloc();
        T *grown = static_cast<T *>(std::realloc(static_cast<void *>(data_), capacity * sizeof(T) + PADDING));
        if (grown == nullptr) throw std::bad_alloc();
        data_ = grown, capacity_ = capacity;
    }
    void clear(size_t first, size_t stop) { std::memset(static_cast<void *>(data_ + first), 0, (stop - first) * sizeof(T)); }
    T *data() { return data_; }
    const T *data() const { return data_; }
    T &operator[](size_t at) { return data_[at]; }
    const T &operator[](size_t at) const { return data_[at]; }

private:
    T *data_ = nullptr;
    size_t capacity_ = 0;
};

// A text of a string-view column: up to 12 bytes in place, longer ones by their offset in the column's arena.
struct StringView {
    static constexpr size_t IN_PLACE = 12;
    struct Far {
        char prefix[4];
        uint32_t buffer, offset;
    };
    uint32_t length;
    union {
        char in_place[IN_PLACE];
        Far far;
    };
};
static_assert(sizeof(StringView) == 16);

// The bytes of the long texts of a column.
class TextArena {
public:
    void put(StringView &view, const char *text, size_t length) {
        if (length <= StringView::IN_PLACE) {
            view = {};
            std::memcpy(view.in_place, text, length);
        } else {
            if (size_ + length > INT32_MAX) throw OddOrder();  // offsets are of 32 bits; the view is still null
            bytes_.reserve(size_ + length);
            std::memcpy(bytes_.data() + size_, text, length);
            view.far = {{}, 0, static_cast<uint32_t>(size_)};
            std::memcpy(view.far.prefix, text, sizeof view.far.prefix);
            size_ += length;
        }
        view.length = static_cast<uint32_t>(length);
    }
    const char *at(const StringView &view) const {
        return view.length <= StringView::IN_PLACE ? view.in_place : bytes_.data() + view.far.offset;
    }
    bool equal(const StringView &one, const StringView &other) const {
        return one.length == other.length && !std::memcmp(at(one), at(other), one.length);
    }
    size_t size() const { return size_; }
    void shrink_to(size_t size) { size_ = size; }
    const char *data() const { return bytes_.data(); }

private:
    Buffer<char> bytes_;
    size_t size_ = 0;
};

// The values of one column. A row that nothing was set in is null, and its value is zero.
class Column {
public:
    Kind kind = Kind::TEXT;
    TextArena text;

    // Makes room for the rows from `first` to `stop`, both multiples of 8; they are null.
    void add_rows(size_t first, size_t stop) {
        auto grow = [&](auto &buffer, size_t from, size_t to) {
            buffer.reserve(to);
            buffer.clear(from, to);
        };
        size_t width = value_bytes(kind);
        grow(values_, width ? first * width : first / 8, width ? stop * width : stop / 8);
        grow(valid_, first / 8, stop / 8);
    }
    template <class T> void set(size_t row, T value) {
        as<T>()[row] = value;
        mark(row);
    }
    void set_text(size_t row, const char *bytes, size_t length) {
        text.put(as<StringView>()[row], bytes, length);
        mark(row);
    }
    void set_flag(size_t row, bool value) {
        if (value) values_[row >> 3] |= static_cast<char>(1 << (row & 7));
        mark(row);
    }
    // A decimal of 128 bits, lower half first.
    void set_money(size_t row, int64_t ten_thousandths) {
        int64_t *halves = as<int64_t>() + 2 * row;
        halves[0] = ten_thousandths, halves[1] = ten_thousandths < 0 ? -1 : 0;
        mark(row);
    }
    bool is_set(size_t row) const { return valid_[row >> 3] >> (row & 7) & 1; }
    size_t set_count() const { return set_count_; }
    template <class T> T *as() { return reinterpret_cast<T *>(values_.data()); }
    template <class T> const T *as() const { return reinterpret_cast<const T *>(values_.data()); }
    const uint8_t *validity() const { return valid_.data(); }

    // Makes the rows from `first` to `stop` null again; the texts of later rows begin at `text_size`.
    void clear(size_t first, size_t stop, size_t text_size) {
        for (size_t row = first; row < stop; row++)
            if (is_set(row)) {
                valid_[row >> 3] &= static_cast<uint8_t>(~(1 << (row & 7)));
                if (kind == Kind::FLAG) values_[row >> 3] &= static_cast<char>(~(1 << (row & 7)));
                else std::memset(values_.data() + row * value_bytes(kind), 0, value_bytes(kind));
                set_count_--;
            }
        text.shrink_to(text_size);
    }
    // Puts the rows from `first` on into another order: row `first + i` gets what was in row `rows[i]`.
    void rearrange(size_t first, const std::vector<uint32_t> &rows) {
        size_t width = value_bytes(kind), count = rows.size();
        std::vector<char> values(count * std::max<size_t>(width, 1));
        std::vector<char> valid(count);
        for (size_t i = 0; i < count; i++) {
            valid[i] = is_set(rows[i]);
            if (width) std::memcpy(&values[i * width], values_.data() + rows[i] * width, width);
            else values[i] = values_[rows[i] >> 3] >> (rows[i] & 7) & 1;
        }
        clear(first, first + count, text.size());
        for (size_t i = 0; i < count; i++) {
            if (!valid[i]) continue;
            if (width) std::memcpy(values_.data() + (first + i) * width, &values[i * width], width);
            else if (values[i]) values_[(first + i) >> 3] |= static_cast<char>(1 << ((first + i) & 7));
            mark(first + i);
        }
    }

private:
    void mark(size_t row) {
        valid_[row >> 3] |= static_cast<uint8_t>(1 << (row & 7));
        set_count_++;
    }
    Buffer<char> values_;
    Buffer<uint8_t> valid_;
    size_t set_count_ = 0;
};

}  // namespace quivo
