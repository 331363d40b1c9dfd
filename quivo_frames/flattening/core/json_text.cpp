#include "json_text.hpp"

#include <bit>
#include <charconv>
#include <cstring>

#if defined(QUIVO_FRAMES_PLAIN)  // for tests: as on a processor that has neither
#elif defined(__SSE2__) || defined(_M_X64)
#define QUIVO_FRAMES_SSE2
#include <emmintrin.h>
#elif defined(__aarch64__)
#define QUIVO_FRAMES_NEON
#include <arm_neon.h>
#endif

namespace quivo {

namespace {

// Moves to the next quote, backslash or control character; true if a byte of 0x80 or more was passed.
// Most strings are shorter than 32 bytes: 16 bytes a step take a third of the time of one byte a step.
#if defined(QUIVO_FRAMES_SSE2)
bool find_special(const char *&at) {
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), last_control = _mm_set1_epi8(0x1f);
    for (unsigned passed_high = 0;; at += 16) {
        __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(at));
        __m128i is_control = _mm_cmpeq_epi8(_mm_max_epu8(bytes, last_control), last_control);
        __m128i is_special = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)), is_control);
        unsigned special = static_cast<unsigned>(_mm_movemask_epi8(is_special));
        unsigned high = static_cast<unsigned>(_mm_movemask_epi8(bytes));
        if (special) {
            unsigned first = static_cast<unsigned>(std::countr_zero(special));
            at += first;
            return passed_high | (high & ((1u << first) - 1));
        }
        passed_high |= high;
    }
}
#elif defined(QUIVO_FRAMES_NEON)
bool find_special(const char *&at) {
    for (uint64_t passed_high = 0;; at += 16) {
        uint8x16_t bytes = vld1q_u8(reinterpret_cast<const uint8_t *>(at));
        uint8x16_t is_special = vorrq_u8(vorrq_u8(vceqq_u8(bytes, vdupq_n_u8('"')), vceqq_u8(bytes, vdupq_n_u8('\\'))),
                                         vcltq_u8(bytes, vdupq_n_u8(0x20)));
        // NEON has no movemask: a shift that narrows leaves four bits a byte.
        auto mask_of = [](uint8x16_t found) {
            return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(found), 4)), 0);
        };
        uint64_t special = mask_of(is_special), high = mask_of(vcgeq_u8(bytes, vdupq_n_u8(0x80)));
        if (special) {
            unsigned first = static_cast<unsigned>(std::countr_zero(special));
            at += first / 4;
            return passed_high | (high & ((uint64_t{1} << first) - 1));
        }
        passed_high |= high;
    }
}
#else
bool find_special(const char *&at) {
    for (unsigned char passed_high = 0;; at++) {
        unsigned char byte = static_cast<unsigned char>(*at);
        if (byte == '"' || byte == '\\' || byte < 0x20) return passed_high & 0x80;
        passed_high |= byte;
    }
}
#endif

bool is_hex(char c) { return is_digit(c) || static_cast<unsigned char>((c | 32) - 'a') < 6; }

unsigned hex_value(const char *four) {
    unsigned value = 0;
    std::from_chars(four, four + 4, value, 16);
    return value;
}

// Whether bytes are UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(const char *text, size_t length) {
    auto at = reinterpret_cast<const unsigned char *>(text), end = at + length;
    while (at < end) {
        uint64_t eight;
        while (end - at >= 8 && (std::memcpy(&eight, at, 8), !(eight & 0x8080808080808080ull))) at += 8;
        while (at < end && *at < 0x80) at++;
        if (at == end) break;
        int more = *at < 0xE0 ? 1 : *at < 0xF0 ? 2 : 3;
        if (*at < 0xC2 || *at > 0xF4 || end - at <= more) return false;
        uint32_t point = *at++ & (0x3Fu >> more);
        for (int left = more; left > 0; left--) {
            if ((*at & 0xC0) != 0x80) return false;
            point = point << 6 | (*at++ & 63u);
        }
        constexpr uint32_t LEAST[] = {0, 0x80, 0x800, 0x10000};
        if (point < LEAST[more] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) return false;
    }
    return true;
}

void append_utf8(std::string &to, unsigned point) {
    int more = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    constexpr unsigned char FIRST[] = {0, 0xC0, 0xE0, 0xF0};
    to += static_cast<char>(FIRST[more] | point >> 6 * more);
    while (more-- > 0) to += static_cast<char>(0x80 | (point >> 6 * more & 63));
}

void skip_word(const char *&at, const char *word, size_t length) {
    if (std::memcmp(at, word, length)) throw OddOrder();
    at += length;
}

}  // namespace

JsonString read_string(const char *&at) {
    expect(at, '"');
    const char *begin = at;
    bool is_escaped = false, has_high = false;
    for (;;) {
        has_high |= find_special(at);
        if (*at == '"') break;
        if (*at != '\\') throw OddOrder();  // a control character, or the zero behind the end of the text
        is_escaped = true;
        if (at[1] == 'u') {
            if (!is_hex(at[2]) || !is_hex(at[3]) || !is_hex(at[4]) || !is_hex(at[5])) throw OddOrder();
            at += 6;
        } else if (at[1] && std::strchr("\"\\/bfnrt", at[1])) {
            at += 2;
        } else {
            throw OddOrder();
        }
    }
    JsonString found{begin, static_cast<size_t>(at - begin), is_escaped};
    at++;
    if (has_high && !is_utf8(found.begin, found.length)) throw OddOrder();
    return found;
}

namespace {

// The character that `\uXXXX` at `at`, or a surrogate pair of two of them, stands for; false: half a pair.
bool read_code_point(const char *&at, const char *end, unsigned &point) {
    point = hex_value(at + 2);
    at += 6;
    if (point < 0xD800 || point >= 0xE000) return true;
    if (point >= 0xDC00 || end - at < 6 || at[0] != '\\' || at[1] != 'u') return false;
    unsigned low = hex_value(at + 2);
    if (low < 0xDC00 || low > 0xDFFF) return false;
    point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
    at += 6;
    return true;
}

}  // namespace

bool decode_string(const JsonString &string, std::string &to) {
    to.clear();
    const char *at = string.begin, *end = at + string.length;
    while (at < end) {
        auto escape = static_cast<const char *>(std::memchr(at, '\\', static_cast<size_t>(end - at)));
        if (escape == nullptr) escape = end;
        to.append(at, escape);
        if ((at = escape) == end) break;
        unsigned point = static_cast<unsigned char>(at[1]);
        if (point == 'u') {
            if (!read_code_point(at, end, point)) return false;
        } else {
            const char *names = "bfnrt", *values = "\b\f\n\r\t", *found = std::strchr(names, at[1]);
            if (found) point = static_cast<unsigned char>(values[found - names]);
            at += 2;
        }
        append_utf8(to, point);
    }
    return true;
}

void skip_number(const char *&at) {
    auto skip_digits = [&] {
        if (!is_digit(*at)) throw OddOrder();
        while (is_digit(*at)) at++;
    };
    if (*at == '-') at++;
    if (*at == '0') at++;
    else skip_digits();
    if (*at == '.') {
        at++;
        skip_digits();
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        if (*at == '+' || *at == '-') at++;
        skip_digits();
    }
}

void skip_null(const char *&at) { skip_word(at, "null", 4); }

bool read_flag(const char *&at) {
    bool value = *at == 't';
    if (value) skip_word(at, "true", 4);
    else skip_word(at, "false", 5);
    return value;
}

void skip_value(const char *&at, int depth) {
    if (depth > DEEPEST_FREE_VALUE) throw OddOrder();
    switch (*at) {
        case '"': {
            JsonString string = read_string(at);
            std::string decoded;
            if (string.is_escaped && !decode_string(string, decoded)) throw OddOrder();
            return;
        }
        case '{':
            if (begin_elements(at, '{', '}')) do {
                if (*at != '"') throw OddOrder();
                skip_value(at, depth + 1);
                expect_colon(at);
                skip_value(at, depth + 1);
            } while (next_element(at, '}'));
            return;
        case '[':
            if (begin_elements(at, '[', ']')) do skip_value(at, depth + 1);
            while (next_element(at, ']'));
            return;
        case 't': case 'f': read_flag(at); return;
        case 'n': skip_null(at); return;
        default: skip_number(at);
    }
}

}  // namespace quivo
