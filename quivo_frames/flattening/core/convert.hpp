// JSON values of the usual forms -> the values of columns, exactly. Of any other form: false, and convert.py decides.
#pragma once
#include <cstddef>
#include <cstdint>

namespace quivo {

bool read_day(const char *text, size_t length, int32_t &days);                   // days since 1970-01-01
// Since 1970-01-01T00:00:00Z; a time without a zone is one of UTC.
bool read_instant(const char *text, size_t length, int64_t &microseconds, bool &has_zone);
bool read_integer(const char *text, size_t length, int64_t &value);
bool read_whole_float(const char *text, size_t length, int64_t &value);          // 2.0
bool read_money(const char *text, size_t length, int64_t &ten_thousandths);
bool read_measure(const char *text, size_t length, double &value);
bool is_plain_number(const char *text, size_t length);  // without an exponent

}  // namespace quivo
