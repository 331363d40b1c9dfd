#include "convert.hpp"

#include <cstring>

#include "json_text.hpp"

namespace quivo {

namespace {

constexpr double POWERS_OF_TEN[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
constexpr int GREATEST_POWER = 22;     // greater ones are not exact
constexpr size_t DIGITS_OF_DOUBLE = 15;  // any number of so many digits is exact
constexpr int64_t SECOND = 1'000'000;

int two_digits(const char *text) {
    return is_digit(text[0]) && is_digit(text[1]) ? (text[0] - '0') * 10 + text[1] - '0' : -1;
}

bool read_date(const char *text, int64_t &days) {
    int century = two_digits(text), rest = two_digits(text + 2), month = two_digits(text + 5), day = two_digits(text + 8);
    if (century < 0 || rest < 0 || text[4] != '-' || text[7] != '-' || month < 1 || month > 12 || day < 1) return false;
    int year = century * 100 + rest;
    constexpr int LAST_DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (year < 1 || day > LAST_DAYS[month - 1] + (month == 2 && is_leap)) return false;
    // Years that begin in March have the leap day at their end, see
    // https://howardhinnant.github.io/date_algorithms.html#days_from_civil
    year -= month <= 2;
    int era = year / 400, year_of_era = year - era * 400;
    int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    days = era * 146097LL + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
    return true;
}

// The offset of a zone that ends the text, in minutes: Z, +01, +01:30 or +0130.
bool read_zone(const char *at, const char *end, int64_t &minutes) {
    minutes = 0;
    if (*at == 'Z') return at + 1 == end;
    if ((*at != '+' && *at != '-') || end - at < 3) return false;
    int hours = two_digits(at + 1), rest = 0;
    const char *behind = at + 3;
    if (behind < end) {
        if (*behind == ':') behind++;
        if (end - behind != 2) return false;
        rest = two_digits(behind);
    }
    if (hours < 0 || hours > 23 || rest < 0 || rest > 59) return false;
    minutes = (*at == '-' ? -1 : 1) * (hours * 60 + rest);
    return true;
}

}  // namespace

bool read_day(const char *text, size_t length, int32_t &days) {
    int64_t found;
    if (length != 10 || !read_date(text, found)) return false;
    days = static_cast<int32_t>(found);
    return true;
}

bool read_instant(const char *text, size_t length, int64_t &microseconds, bool &has_zone) {
    int64_t days, zone = 0;
    if (length < 19 || !read_date(text, days) || text[10] != 'T' || text[13] != ':' || text[16] != ':') return false;
    int hour = two_digits(text + 11), minute = two_digits(text + 14), second = two_digits(text + 17);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) return false;
    const char *at = text + 19, *end = text + length;
    int64_t fraction = 0;
    if (*at == '.') {
        int64_t unit = SECOND;
        for (at++; at < end && is_digit(*at); at++) {
            if (unit == 1) return false;  // digits past microseconds are cut, and that is noted
            unit /= 10;
            fraction += (*at - '0') * unit;
        }
        if (unit == SECOND) return false;
    }
    has_zone = at != end;
    if (has_zone && !read_zone(at, end, zone)) return false;
    microseconds = (((days * 24 + hour) * 60 + minute - zone) * 60 + second) * SECOND + fraction;
    constexpr int64_t FIRST = -62'135'596'800 * SECOND, LAST = 253'402'300'800 * SECOND - 1;  // years 1 and 9999
    return FIRST <= microseconds && microseconds <= LAST;
}

bool read_integer(const char *text, size_t length, int64_t &value) {
    const char *at = text, *end = text + length;
    bool is_negative = *at == '-';
    at += is_negative;
    if (end - at > 19) return false;
    uint64_t digits = 0;
    for (; at < end; at++) {
        if (!is_digit(*at)) return false;
        digits = digits * 10 + static_cast<uint64_t>(*at - '0');
    }
    if (digits > INT64_MAX) return false;
    value = is_negative ? -static_cast<int64_t>(digits) : static_cast<int64_t>(digits);
    return true;
}

bool read_whole_float(const char *text, size_t length, int64_t &value) {
    auto point = static_cast<const char *>(std::memchr(text, '.', length));
    if (point == nullptr || length > DIGITS_OF_DOUBLE) return false;
    for (const char *at = point + 1; at < text + length; at++)
        if (*at != '0') return false;
    return read_integer(text, static_cast<size_t>(point - text), value);
}

bool read_money(const char *text, size_t length, int64_t &ten_thousandths) {
    const char *at = text, *end = text + length;
    bool is_negative = *at == '-';
    at += is_negative;
    const char *first = at;
    int64_t value = 0;
    while (at < end && is_digit(*at) && at - first < 14) value = value * 10 + (*at++ - '0');
    if (at == first) return false;
    int decimals = 0;
    if (at < end && *at == '.')
        for (at++; at < end && is_digit(*at) && decimals < 4; decimals++) value = value * 10 + (*at++ - '0');
    if (at != end) return false;
    for (; decimals < 4; decimals++) value *= 10;
    ten_thousandths = is_negative ? -value : value;
    return true;
}

bool read_measure(const char *text, size_t length, double &value) {
    const char *at = text, *end = text + length;
    bool is_negative = *at == '-';
    at += is_negative;
    uint64_t digits = 0;
    size_t count = 0;
    int decimals = 0;
    bool is_fraction = false;
    for (; at < end; at++) {
        if (*at == '.') {
            is_fraction = true;
        } else if (is_digit(*at)) {
            digits = digits * 10 + static_cast<uint64_t>(*at - '0');
            decimals += is_fraction;
            if (++count > DIGITS_OF_DOUBLE) return false;
        } else {
            return false;
        }
    }
    if (decimals > GREATEST_POWER) return false;
    // Both numbers are exact, so their quotient is the double that is nearest to the number that was written.
    value = static_cast<double>(digits) / POWERS_OF_TEN[decimals];
    if (is_negative && (digits || is_fraction)) value = -value;  // -0 is an integer, and has no sign
    return true;
}

bool is_plain_number(const char *text, size_t length) {
    for (const char *at = text + (*text == '-'); at < text + length; at++)
        if (!is_digit(*at) && *at != '.') return false;
    return true;
}

}  // namespace quivo
