#include "../frame_decoder.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "../crc32.h"
#include "frame_programs.h"

namespace sluice {
namespace {

using namespace programs;
using Kind = Decoded::Kind;
using Bytes = std::vector<uint8_t>;

constexpr size_t kCodes = 16;

Bytes hex(std::string_view text) {
  Bytes bytes;
  std::string digits;
  for (const char c : text) {
    if (c != ' ') digits += c;
    if (digits.size() < 2) continue;
    bytes.push_back(static_cast<uint8_t>(std::stoi(digits, nullptr, 16)));
    digits.clear();
  }
  return bytes;
}

class Subject {
 public:
  explicit Subject(const Words& words, FrameLimits limits = {1024, 0}) : program_(FrameProgram::load(words, kCodes)), limits_(limits) {
    if (!program_) ADD_FAILURE() << "the words are not a program";
  }
  /// Decodes memory of exactly that length, so that a read past the end is seen by the sanitizer.
  Decoded decode(const Bytes& bytes) {
    const Bytes exact(bytes);
    table.assign(program_->table_words(), -1);
    return FrameDecoder(*program_, limits_).decode(exact, table);
  }
  void patch(Bytes& bytes, uint32_t low, uint32_t high) { FrameDecoder(*program_, limits_).patch_id(bytes, table, low, high); }
  [[nodiscard]] int32_t word(int index) const { return table[static_cast<size_t>(index)]; }
  [[nodiscard]] int32_t section_at(int index) const { return word(frame::kFrameSections + 2 * index); }
  [[nodiscard]] int32_t section_bytes(int index) const { return word(frame::kFrameSections + 2 * index + 1); }
  [[nodiscard]] int32_t value(int slot) const { return word(frame::kFrameSections + 2 * static_cast<int>(program_->section_count()) + 2 * slot); }

  std::vector<int32_t> table;

 private:
  std::optional<FrameProgram> program_;
  FrameLimits limits_;
};

void expect_fault(const Decoded& decoded, int32_t code, int32_t offset) {
  EXPECT_EQ(decoded.kind, Kind::kFault);
  EXPECT_EQ(decoded.code, code);
  EXPECT_EQ(decoded.offset, offset);
}

TEST(Crc32, GivesTheCheckValueOfItsDefinition) {
  const std::string_view digits = "123456789";
  EXPECT_EQ(crc32({reinterpret_cast<const uint8_t*>(digits.data()), digits.size()}), 0xcbf43926U);
  EXPECT_EQ(crc32({}), 0U);
}

TEST(FrameDecoder, FindsAWholeFrame) {
  Subject subject(simple());
  const Bytes bytes = hex("4b 0003 00000009 616263 4b");
  for (size_t length = 0; length < 10; length++) {
    EXPECT_EQ(subject.decode(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length))).kind, Kind::kMore) << length;
  }
  EXPECT_EQ(subject.decode(bytes).kind, Kind::kWhole);
  EXPECT_EQ(subject.word(frame::kFrameBytes), 10);
  EXPECT_EQ(subject.word(frame::kFrameShown), 10);
  EXPECT_EQ(subject.word(frame::kFrameStart), 0);
  EXPECT_EQ(subject.word(frame::kFrameKind), frame::kKindRequest);
  EXPECT_EQ(subject.word(frame::kFrameIdAt), 3);
  EXPECT_EQ(subject.word(frame::kFrameIdLow), 9);
  EXPECT_EQ(subject.section_at(0), 7);
  EXPECT_EQ(subject.section_bytes(0), 3);
}

TEST(FrameDecoder, TellsAWrongValueByTheNumberOfItsCode) { expect_fault(Subject(simple()).decode(hex("4c")), 0, 0); }

TEST(FrameDecoder, RefusesALengthOverTheLimitBeforeTheRestIsThere) {
  expect_fault(Subject(simple(), {10, 0}).decode(hex("4b 0004")), frame::kFaultFrameTooLarge, 1);
  EXPECT_EQ(Subject(simple(), {10, 0}).decode(hex("4b 0003")).kind, Kind::kMore);
}

TEST(FrameDecoder, ShowsALargeFrameBeforeItsLastSectionIsThere) {
  Subject subject(simple(), {1024, 10});
  EXPECT_EQ(subject.decode(hex("4b 0004 00000009 61")).kind, Kind::kPartial);
  EXPECT_EQ(subject.word(frame::kFrameBytes), 11);
  EXPECT_EQ(subject.word(frame::kFrameShown), 7);
  EXPECT_EQ(subject.decode(hex("4b 0003 00000009 61")).kind, Kind::kMore);
}

TEST(FrameDecoder, ReadsBothVariantsOfBolt) {
  Subject subject(bolt());
  const std::string request = "01 01 0001 01 00000007 01 00000bb8 0002 0003 00000004 6162 636465 66676869";
  EXPECT_EQ(subject.decode(hex(request)).kind, Kind::kWhole);
  EXPECT_EQ(subject.word(frame::kFrameVariant), 0);
  EXPECT_EQ(subject.word(frame::kFrameKind), frame::kKindRequest);
  EXPECT_EQ(subject.word(frame::kFrameBytes), 31);
  EXPECT_EQ(subject.value(6), 3000);
  EXPECT_EQ(subject.section_at(2), 27);
  EXPECT_EQ(subject.section_bytes(2), 4);
  EXPECT_EQ(subject.decode(hex("01 00 0000 01 ffffffff 01 0000 0000 0000 00000000")).kind, Kind::kWhole);
  EXPECT_EQ(subject.word(frame::kFrameVariant), 1);
  EXPECT_EQ(subject.word(frame::kFrameKind), frame::kKindHeartbeatAck);
  EXPECT_EQ(subject.word(frame::kFrameIdLow), -1);
  EXPECT_EQ(subject.word(frame::kFrameIdHigh), 0);
  expect_fault(subject.decode(hex("01 03")), 1, 1);
  expect_fault(subject.decode(hex("01 01 0001 01 00000007 01 00000bb8 8000")), 8, 14);
}

TEST(FrameDecoder, FollowsFieldsThatSayWhereThingsAre) {
  Subject subject(everything());
  // 12 + 4 x 3 - 2 bytes, the signed byte at 12 + 2 x 2, sections from 14.
  EXPECT_EQ(subject.decode(hex("00 0300 02 0807060504030201 0000 0000 ff 0000000000")).kind, Kind::kWhole);
  EXPECT_EQ(subject.word(frame::kFrameBytes), 22);
  EXPECT_EQ(subject.word(frame::kFrameIdHigh), 0x01020304);
  EXPECT_EQ(subject.word(frame::kFrameIdLow), 0x05060708);
  EXPECT_EQ(subject.value(4), -1);
  EXPECT_EQ(subject.word(frame::kFrameKind), frame::kKindResponse);
  EXPECT_EQ(subject.section_at(1), 16);
  EXPECT_EQ(subject.section_bytes(1), 6);
  expect_fault(subject.decode(hex("00 0100 03 0807060504030201")), frame::kFaultBadLength, 3);
  expect_fault(subject.decode(hex("00 0000 01")), frame::kFaultBadLength, 3);
}

TEST(FrameDecoder, VerifiesAChecksumAndWritesItAnewWithTheId) {
  Subject subject(everything());
  Bytes bytes = hex("80 0300 02 0807060504030201 0000 0000 ff 0000000000 00000000");
  expect_fault(subject.decode(bytes), frame::kFaultBadChecksum, 22);
  const uint32_t sum = crc32(std::span<const uint8_t>(bytes).first(22));
  for (size_t i = 0; i < 4; i++) bytes[22 + i] = static_cast<uint8_t>(sum >> (24 - 8 * i));
  EXPECT_EQ(subject.decode(bytes).kind, Kind::kWhole);
  EXPECT_EQ(subject.word(frame::kFrameBytes), 26);
  subject.patch(bytes, 0x0a0b0c0d, 0x0e0f1011);
  EXPECT_EQ(Bytes(bytes.begin() + 4, bytes.begin() + 12), hex("0d0c0b0a 11100f0e"));
  EXPECT_EQ(subject.decode(bytes).kind, Kind::kWhole) << "with the checksum of the new bytes";
}

TEST(FrameDecoder, PatchesNothingOutsideOfTheBytes) {
  Subject subject(everything());
  Bytes bytes = hex("80 0300 02 0807060504030201 0000 0000 ff");
  EXPECT_EQ(subject.decode(bytes).kind, Kind::kMore);
  for (const int32_t word : {INT32_MAX, INT32_MIN, -1, 0, 1, 9, 16, 17}) {
    subject.table.assign(subject.table.size(), 1);
    subject.table[frame::kFrameVariant] = 0;
    subject.table[frame::kFrameIdAt] = word;
    subject.table[frame::kFrameBytes] = word;
    subject.table[frame::kFrameShown] = word;
    subject.patch(bytes, 0, 0);
    subject.table.assign(subject.table.size(), word);
    subject.patch(bytes, 0, 0);
  }
  EXPECT_EQ(bytes.size(), 17U);
}

TEST(FrameProgram, RefusesWordsThatStopEarlyOrGoOn) {
  for (const Words& good : {simple(), bolt(), everything()}) {
    EXPECT_TRUE(FrameProgram::load(good, kCodes));
    for (size_t length = 0; length < good.size(); length++) EXPECT_FALSE(FrameProgram::load(Words(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length)), kCodes)) << length;
    EXPECT_FALSE(FrameProgram::load(join({good, {0}}), kCodes));
  }
}

TEST(FrameProgram, RefusesCodesThatAreNotThere) {
  EXPECT_TRUE(FrameProgram::load(simple(), 3));
  EXPECT_FALSE(FrameProgram::load(simple(), 2));
}

TEST(FrameProgram, RefusesWhatTheDecoderCouldNotRun) {
  const auto with = [](const Variant& only, int32_t slots = 2) { return FrameProgram::load(program(1, slots, {0}, list({variant(only)})), kCodes).has_value(); };
  const Words byte = step({.slot = 0, .at = 0, .width = 1});
  const Variant good{.min_bytes = 1, .length = sum(1, {{0}}), .sections_at = sum(1), .steps = list({byte, length()})};
  EXPECT_TRUE(with(good));

  const auto changed = [&](auto change) {
    Variant variant = good;
    change(variant);
    return with(variant);
  };
  EXPECT_FALSE(changed([&](Variant& v) { v.steps = list({length(), byte}); })) << "the length needs a later field";
  EXPECT_FALSE(changed([&](Variant& v) { v.steps = list({byte}); })) << "no length";
  EXPECT_FALSE(changed([&](Variant& v) { v.steps = list({byte, length(), length()}); })) << "two lengths";
  EXPECT_FALSE(changed([&](Variant& v) { v.steps = list({byte, byte, length()}); })) << "a slot twice";
  EXPECT_FALSE(changed([&](Variant& v) { v.steps = list({byte, {3}}); })) << "no such step";
  EXPECT_FALSE(changed([&](Variant& v) { v.min_bytes = 2; })) << "not where the fields end";
  EXPECT_FALSE(changed([&](Variant& v) { v.length = sum(1, {{1}}); })) << "a slot without a value";
  EXPECT_FALSE(changed([&](Variant& v) { v.length = sum(1, {{2}}); })) << "a slot that is not there";
  EXPECT_FALSE(changed([&](Variant& v) { v.length = sum(1, {{0, 0}}); })) << "a scale of 0";
  EXPECT_FALSE(changed([&](Variant& v) { v.length = sum(1, {{0, 65537}}); })) << "a scale too large";
  EXPECT_FALSE(changed([&](Variant& v) { v.length = {1, -1}; })) << "a count below 0";
  EXPECT_FALSE(changed([&](Variant& v) { v.length = sum(1, {{0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}}); })) << "too many terms";
  EXPECT_FALSE(changed([&](Variant& v) { v.when = list({is(0, {1})}); })) << "not in the prefix";
  EXPECT_FALSE(changed([&](Variant& v) { v.when = {INT32_MAX}; })) << "more conditions than words";
  EXPECT_FALSE(changed([&](Variant& v) { v.sections = list({section(1, sum(0))}); })) << "no such section";
  EXPECT_FALSE(changed([&](Variant& v) { v.sections = list({rest(0), section(0, sum(0))}); })) << "a rest before the last";
  EXPECT_FALSE(changed([&](Variant& v) { v.id_slot = 0; })) << "an id of one byte";
  EXPECT_FALSE(changed([&](Variant& v) { v.id_slot = 1; })) << "an id that is not read";
  EXPECT_FALSE(changed([&](Variant& v) { v.kinds = list({kind(8, always())}); })) << "no such kind";
  EXPECT_FALSE(changed([&](Variant& v) { v.kinds = list({kind(1, list({is(1, {1})}))}); })) << "a kind by a slot without a value";
  EXPECT_FALSE(changed([&](Variant& v) { v.checksum = {2}; })) << "neither with nor without a checksum";

  const auto reads = [&](const Field& field) {
    return with({.min_bytes = field.at + field.width, .length = sum(4200), .sections_at = sum(0), .steps = list({length(), step(field)})});
  };
  EXPECT_TRUE(reads({.slot = 1, .at = 4096, .width = 8}));
  EXPECT_FALSE(reads({.slot = 1, .at = 4097, .width = 1}));
  EXPECT_FALSE(reads({.slot = 1, .at = -1, .width = 2}));
  EXPECT_FALSE(reads({.slot = 2, .at = 0, .width = 1}));
  EXPECT_FALSE(reads({.slot = 1, .at = 0, .width = 5}));
  EXPECT_FALSE(reads({.slot = 1, .at = 0, .width = 0}));
  EXPECT_FALSE(reads({.slot = 1, .at = 0, .width = 1, .flags = 4}));
  EXPECT_FALSE(reads({.slot = 1, .at = 0, .width = 1, .shift = 6, .bits = 3}));
  EXPECT_FALSE(reads({.slot = 1, .at = 0, .width = 1, .shift = 1}));
  EXPECT_FALSE(reads({.slot = 1, .at = 0, .width = 1, .flags = frame::kFlagSigned, .bits = 3}));
  EXPECT_FALSE(reads({.slot = 1, .at = 0, .width = 8, .check = range(0, 1)}));
  EXPECT_FALSE(reads({.slot = 1, .at = 0, .width = 1, .check = {3}}));
  EXPECT_FALSE(reads({.slot = 1, .at = 0, .width = 1, .check = one_of({})}));
  const auto reads_at = [&](int32_t at) {
    return with({.min_bytes = 1, .length = sum(1), .sections_at = sum(0), .steps = list({byte, length(), step({.slot = 1, .at = at, .width = 2}, {{0}})})});
  };
  EXPECT_TRUE(reads_at(-4096));
  EXPECT_FALSE(reads_at(-4097));
  EXPECT_FALSE(reads_at(4097));
  const auto by_wide = [&](const Words& length_of) {
    return with({.min_bytes = 8, .length = length_of, .sections_at = sum(8), .steps = list({step({.slot = 0, .at = 0, .width = 8}), length()})});
  };
  EXPECT_TRUE(by_wide(sum(8)));
  EXPECT_FALSE(by_wide(sum(8, {{0}}))) << "a length of 8 bytes";
}

}  // namespace
}  // namespace sluice
