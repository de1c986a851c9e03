// Byte-code of layouts for tests and fuzzers, put together as src/protocol/frame-program.ts does.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "../frame_table.h"

namespace sluice::programs {

using Words = std::vector<int32_t>;

inline Words join(std::initializer_list<Words> parts) {
  Words all;
  for (const Words& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}
/// A list with its count before it.
inline Words list(std::initializer_list<Words> parts) { return join({{static_cast<int32_t>(parts.size())}, join(parts)}); }
inline Words number(int64_t value) { return {static_cast<int32_t>(value), static_cast<int32_t>(value >> 32)}; }

struct Term {
  int32_t slot;
  int32_t scale = 1;
};
inline Words sum(int32_t bytes, std::initializer_list<Term> terms = {}) {
  Words words = {bytes, static_cast<int32_t>(terms.size())};
  for (const auto& [slot, scale] : terms) words.insert(words.end(), {slot, scale});
  return words;
}
/// A condition: the slot has one of the values.
inline Words is(int32_t slot, std::initializer_list<int64_t> values) {
  Words words = {slot, static_cast<int32_t>(values.size())};
  for (const int64_t value : values) words = join({words, number(value)});
  return words;
}
inline Words always() { return {0}; }

struct Field {
  int32_t slot;
  int32_t at;
  int32_t width;
  int32_t flags = 0;
  int32_t shift = 0;
  int32_t bits = 0;
  Words check = {frame::kCheckNone};
};
/// The code of a field's error is its slot.
inline Words field(const Field& field) { return join({{field.slot, field.width, field.flags, field.at, field.shift, field.bits, field.slot}, field.check}); }
inline Words one_of(std::initializer_list<int64_t> values) {
  Words words = {frame::kCheckOneOf, static_cast<int32_t>(values.size())};
  for (const int64_t value : values) words = join({words, number(value)});
  return words;
}
inline Words range(int64_t min, int64_t max) { return join({{frame::kCheckRange}, number(min), number(max)}); }
inline Words step(const Field& what) { return join({{frame::kOpField}, sum(what.at), field(what)}); }
inline Words step(const Field& what, std::initializer_list<Term> terms) { return join({{frame::kOpField}, sum(what.at, terms), field(what)}); }
inline Words length() { return {frame::kOpLength}; }
inline Words section(int32_t index, const Words& length) { return join({{index, 0}, length}); }
inline Words rest(int32_t index) { return {index, 1}; }
inline Words kind(int32_t kind, const Words& when) { return join({{kind}, when}); }

struct Variant {
  Words when = always();
  int32_t min_bytes;
  Words length;
  Words sections_at;
  Words sections = {0};
  int32_t id_slot = -1;
  Words checksum = {0};
  Words kinds = {0};
  Words steps;
};
inline Words variant(const Variant& variant) {
  return join({variant.when, {variant.min_bytes}, variant.length, variant.sections_at, variant.sections, {variant.id_slot}, variant.checksum, variant.kinds, variant.steps});
}
inline Words program(int32_t sections, int32_t slots, const Words& prefix, const Words& variants) {
  return join({{frame::kLayoutVersion, sections, slots}, prefix, variants});
}

/// `4b`, u16 length of the body, u32 id, body.
inline Words simple() {
  const Variant only{.min_bytes = 7,
                     .length = sum(7, {{1}}),
                     .sections_at = sum(7),
                     .sections = list({section(0, sum(0, {{1}}))}),
                     .id_slot = 2,
                     .kinds = list({kind(frame::kKindRequest, always())}),
                     .steps = list({step({.slot = 0, .at = 0, .width = 1, .check = one_of({0x4b})}), step({.slot = 1, .at = 1, .width = 2}), length(),
                                    step({.slot = 2, .at = 3, .width = 4})})};
  return program(1, 3, {0}, list({variant(only)}));
}

/// Bolt v1: a request of 22 bytes and a response of 20, each followed by class, header and content.
inline Words bolt() {
  const Words sections = list({section(0, sum(0, {{8}})), section(1, sum(0, {{9}})), section(2, sum(0, {{10}}))});
  const auto lengths = [](int32_t at) {
    return join({step({.slot = 8, .at = at, .width = 2, .flags = frame::kFlagSigned, .check = range(0, 32767)}),
                 step({.slot = 9, .at = at + 2, .width = 2, .flags = frame::kFlagSigned, .check = range(0, 32767)}),
                 step({.slot = 10, .at = at + 4, .width = 4, .flags = frame::kFlagSigned, .check = range(0, INT32_MAX)}), length()});
  };
  const Words head = join({step({.slot = 2, .at = 2, .width = 2, .check = one_of({0, 1, 2})}), step({.slot = 3, .at = 4, .width = 1}),
                           step({.slot = 4, .at = 5, .width = 4}), step({.slot = 5, .at = 9, .width = 1})});
  const Variant request{.when = list({is(1, {1, 2})}),
                        .min_bytes = 22,
                        .length = sum(22, {{8}, {9}, {10}}),
                        .sections_at = sum(22),
                        .sections = sections,
                        .id_slot = 4,
                        .kinds = list({kind(frame::kKindHeartbeat, list({is(2, {0})})), kind(frame::kKindOneway, list({is(1, {2})})), kind(frame::kKindRequest, always())}),
                        .steps = join({{9}, head, step({.slot = 6, .at = 10, .width = 4, .flags = frame::kFlagSigned}), lengths(14)})};
  const Variant response{.when = list({is(1, {0})}),
                         .min_bytes = 20,
                         .length = sum(20, {{8}, {9}, {10}}),
                         .sections_at = sum(20),
                         .sections = sections,
                         .id_slot = 4,
                         .kinds = list({kind(frame::kKindHeartbeatAck, list({is(2, {0})})), kind(frame::kKindResponse, always())}),
                         .steps = join({{9}, head, step({.slot = 7, .at = 10, .width = 2}), lengths(12)})};
  return program(3, 11, list({field({.slot = 0, .at = 0, .width = 1, .check = one_of({1})}), field({.slot = 1, .at = 1, .width = 1, .check = one_of({0, 1, 2})})}),
                 list({variant(request), variant(response)}));
}

/// A little of everything: bits, little-endian, a field where another says, sections where another says, a 64-bit id, a checksum where a bit says so.
inline Words everything() {
  const Variant only{.min_bytes = 12,
                     .length = sum(12, {{1, 4}, {2, -1}}),
                     .sections_at = sum(12, {{2}}),
                     .sections = list({section(0, sum(0, {{2}})), rest(1)}),
                     .id_slot = 3,
                     .checksum = join({{1}, list({is(0, {1})})}),
                     .kinds = list({kind(frame::kKindResponse, list({is(4, {-1, 7})}))}),
                     .steps = list({step({.slot = 0, .at = 0, .width = 1, .shift = 7, .bits = 1}), step({.slot = 1, .at = 1, .width = 2, .flags = frame::kFlagLittle}),
                                    step({.slot = 2, .at = 3, .width = 1, .check = range(0, 9)}), length(),
                                    step({.slot = 3, .at = 4, .width = 8, .flags = frame::kFlagLittle}),
                                    step({.slot = 4, .at = 12, .width = 1, .flags = frame::kFlagSigned}, {{2, 2}})})};
  return program(2, 5, {0}, list({variant(only)}));
}

}  // namespace sluice::programs
