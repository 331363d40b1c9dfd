// The grammar of JSON (RFC 8259), on text that has PADDING readable bytes, of which the first is zero, behind its end.
// What is not JSON, or nested too deep, is no error here: it makes the order odd, and Python says what is wrong with it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "columns.hpp"

namespace quivo {

struct JsonString {
    const char *begin;
    size_t length;
    bool is_escaped;
};

constexpr int DEEPEST_FREE_VALUE = 100;
constexpr int DEEPEST_OBJECT = 200;

inline bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
inline bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }
inline void skip_blanks(const char *&at) {
    while (is_blank(*at)) at++;
}
inline void expect(const char *&at, char wanted) {
    if (*at != wanted) throw OddOrder();
    at++;
}
inline void expect_colon(const char *&at) {
    skip_blanks(at);
    expect(at, ':');
    skip_blanks(at);
}
// Whether the list or object that begins here has elements; afterwards at the first one, or behind its end.
inline bool begin_elements(const char *&at, char opening, char closing) {
    expect(at, opening);
    skip_blanks(at);
    if (*at != closing) return true;
    at++;
    return false;
}
// Whether another element follows in a list or object that ends with `closing`; afterwards behind the comma or the end.
inline bool next_element(const char *&at, char closing) {
    skip_blanks(at);
    if (*at == ',') {
        at++;
        skip_blanks(at);
        return true;
    }
    expect(at, closing);
    return false;
}

JsonString read_string(const char *&at);                  // at: the opening quote; afterwards behind the closing one
bool decode_string(const JsonString &string, std::string &to);  // false: half a surrogate pair
void skip_number(const char *&at);
void skip_null(const char *&at);
bool read_flag(const char *&at);
void skip_value(const char *&at, int depth = 0);

}  // namespace quivo
