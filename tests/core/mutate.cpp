// Damaged orders through the compiled core without Python, as fast as they come; run by `make sanitize`.
//
//     mutate PLAN ORDERS COUNT SEED
//
// PLAN and ORDERS are files of tests/core/write_inputs.py. Prints how many inputs were read and how many were odd, and a
// digest of all tables: the same for every way of compiling. Memory that is read beside its end is for the sanitizers to
// find; what they cannot see (a view outside of its arena, a row without a parent) ends the program here.
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>

#include "../../quivo_frames/flattening/core/decode.hpp"
#include "../../quivo_frames/flattening/core/order_index.hpp"

using namespace quivo;

namespace {

constexpr size_t INPUTS_PER_BATCH = 100;

struct Dice {  // xorshift64*: the same numbers on every machine
    uint64_t state;
    uint64_t roll() {
        state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
        return state * 0x2545F4914F6CDD1Dull;
    }
    size_t below(size_t limit) { return limit ? roll() % limit : 0; }
};

[[noreturn]] void fail(const char *what) {
    std::fprintf(stderr, "broken: %s\n", what);
    std::abort();
}

std::vector<std::string> read_lines(const char *path) {
    std::ifstream file(path, std::ios::binary);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    if (lines.empty()) fail("there are no orders");
    return lines;
}

const char *const TOKENS[] = {
    "null", "{}", "[]", "\"\"", "-", "0", "1e999", "9223372036854775808", "\\u", "\\ud83d", "\\\"", "\"", "{", "}", "[", "]", ",", ":",
    "\xff", "\xed\xa0\x80", "2026-03-05T14:48:12", "1.000000", "\"a\":1,", "\"orderId\":1,", " ", "\n", "\t", "true", ".5", "{\"a\":",
    "[[[[[[[[", "\"customAttributes\":\"{\\\"a\\\":1}\",", "\"childHandlingUnits\":[{}],", "12345678901234567890",
};

void mutate_once(std::string &text, const std::vector<std::string> &orders, Dice &dice) {
    size_t at = dice.below(text.size()), length = 1 + dice.below(dice.below(4) ? 8 : 200);
    switch (dice.below(9)) {
        case 0: if (!text.empty()) text[at] = static_cast<char>(text[at] ^ (1 << dice.below(8))); return;
        case 1: text.erase(at, length); return;
        case 2: text.insert(at, TOKENS[dice.below(std::size(TOKENS))]); return;
        case 3: text.insert(dice.below(text.size()), std::string(text, at, length)); return;
        case 4: text.resize(at); return;
        case 5: if (!text.empty()) text[at] = static_cast<char>(dice.roll()); return;
        case 6: {
            const std::string &other = orders[dice.below(orders.size())];
            text.insert(at, other, dice.below(other.size()), length);
            return;
        }
        case 7: {
            const char *token = TOKENS[dice.below(std::size(TOKENS))];
            text.replace(at, length, token);
            return;
        }
        default: {  // a value in place of another: text stays JSON more often
            size_t colon = text.find(':', at), end = text.find_first_of(",}]", colon == text.npos ? text.size() : colon);
            if (end != text.npos) text.replace(colon + 1, end - colon - 1, TOKENS[dice.below(12)]);
        }
    }
}

// A hash of everything in a batch that Python would see; it looks at every byte, so that sanitizers do as well.
class BatchCheck {
public:
    void add_batch(const Batch &batch) {
        for (size_t i = 0; i < batch.tables.size(); i++) add_table(batch, i);
        const Remarks &remarks = batch.remarks;
        for (size_t i = 0; i < remarks.count; i++) {
            add_number(static_cast<uint64_t>(remarks.kinds[i]) ^ static_cast<uint64_t>(remarks.rows[i]));
            add_text(remarks.texts[i], remarks.arena);
            if (remarks.rows[i] >= static_cast<int64_t>(batch.tables[static_cast<size_t>(remarks.tables[i])].rows)) fail("a remark about no row");
        }
        for (int64_t place : batch.odd) add_number(static_cast<uint64_t>(place));
    }
    uint64_t hash = 14695981039346656037ull;

private:
    void add_number(uint64_t number) { hash = (hash ^ number) * 1099511628211ull; }
    void add_text(const StringView &view, const TextArena &arena) {
        if (view.length > StringView::IN_PLACE && view.far.offset + size_t{view.length} > arena.size()) fail("a view outside of its arena");
        const char *text = arena.at(view);
        for (uint32_t i = 0; i < view.length; i++) add_number(static_cast<unsigned char>(text[i]));
        add_number(view.length);
    }
    void add_table(const Batch &batch, size_t number) {
        const Table &table = batch.tables[number];
        const TablePlan &plan = batch.plan->tables[number];
        for (size_t row = 0; row < table.rows; row++) {
            if (table.orders[row] >= batch.tables[0].rows) fail("a row of no order");
            size_t parent = number == batch.plan->attributes ? table.owners[row] : plan.parent;
            add_text(table.keys[row], batch.keys);
            if (number == 0) continue;  // orders have no parent and no place in a list
            if (table.parents[row] >= batch.tables[parent].rows) fail("a row without a parent");
            add_number(static_cast<uint64_t>(table.ordinals[row]));
            if (number == batch.plan->units && table.unit_roots[row] > row) fail("a unit before its root");
        }
        for (const Column &column : table.columns) add_column(column, table.rows);
    }
    void add_column(const Column &column, size_t rows) {
        size_t set = 0;
        for (size_t row = 0; row < rows; row++) {
            if (!column.is_set(row)) continue;
            set++;
            if (is_text(column.kind)) add_text(column.as<StringView>()[row], column.text);
            else if (size_t width = value_bytes(column.kind))
                for (size_t i = 0; i < width; i++) add_number(static_cast<unsigned char>(column.as<char>()[row * width + i]));
            else add_number(column.as<char>()[row >> 3] >> (row & 7) & 1);
        }
        if (set != column.set_count()) fail("a column counts its values wrong");
    }
};

}  // namespace

int main(int count, char **arguments) {
    if (count != 5) fail("mutate PLAN ORDERS COUNT SEED");
    std::ifstream plan_file(arguments[1]);
    auto plan = std::make_shared<const Plan>(plan_file);
    std::vector<std::string> orders = read_lines(arguments[2]);
    size_t inputs = std::strtoull(arguments[3], nullptr, 10), odd = 0;
    Dice dice{std::strtoull(arguments[4], nullptr, 10) * 0x9E3779B97F4A7C15ull + 1};
    BatchCheck check;
    for (size_t done = 0; done < inputs; done += INPUTS_PER_BATCH) {
        Batch batch(plan);
        OrderReader reader(batch);
        for (size_t i = 0; i < INPUTS_PER_BATCH; i++) {
            std::string text = orders[dice.below(orders.size())];
            for (size_t changes = dice.below(4); changes > 0; changes--) mutate_once(text, orders, dice);
            // Memory of exactly this size, so that a sanitizer sees a step beyond it.
            auto padded = std::make_unique<char[]>(text.size() + PADDING);
            std::memcpy(padded.get(), text.data(), text.size());
            reader.read(padded.get(), text.size(), static_cast<int64_t>(i));
            auto exact = std::make_unique<char[]>(text.size());
            std::memcpy(exact.get(), text.data(), text.size());
            check.hash ^= index_lines({exact.get(), text.size()}, "{\"orderId\":").order_ids.size();
        }
        check.add_batch(batch);
        odd += batch.odd.size();
    }
    std::printf("%zu inputs, %zu odd, digest %016" PRIx64 "\n", inputs, odd, check.hash);
}
