#include "../http2_connection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::http2;
using namespace sluice::http2::rules;

namespace {

using Bytes = std::vector<uint8_t>;

Bytes frame(int type, int flags, uint32_t stream, const Bytes& payload = {}) {
  Bytes bytes = {0, static_cast<uint8_t>(payload.size() >> 8), static_cast<uint8_t>(payload.size()), static_cast<uint8_t>(type), static_cast<uint8_t>(flags),
                 0, 0, static_cast<uint8_t>(stream >> 8), static_cast<uint8_t>(stream)};
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return bytes;
}
Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}
const Bytes kClientPreface = [] {
  const std::string text = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  return joined({Bytes(text.begin(), text.end()), frame(kTypeSettings, 0, 0), frame(kTypeSettings, kFlagAck, 0)});
}();
const Bytes kGet = {0x82, 0x86, 0x84};

/// Everything that `bytes` make, one event after the other, as kinds.
std::vector<int> kinds(Connection& connection, const Bytes& bytes, Event* last = nullptr) {
  std::vector<int> seen;
  size_t at = 0;
  for (;;) {
    const Event& event = connection.next(bytes, at, 0);
    if (event.kind == kEventMore) return seen;
    seen.push_back(event.kind);
    if (last != nullptr) *last = event;
  }
}

}  // namespace

TEST(Huffman, DecodesTheExampleOfTheRfc) {
  const Bytes coded = {0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff};
  Bytes out(coded.size() * 8 / 5 + 1);
  ASSERT_EQ(hpack::huffman_decode(coded, out.data()), 15);
  EXPECT_EQ(std::string(out.begin(), out.begin() + 15), "www.example.com");
}

TEST(Huffman, CodesEveryByteAndReadsItBack) {
  for (int first = 0; first < 256; first++) {
    for (int count = 1; count < 6; count++) {
      Bytes text;
      for (int i = 0; i < count; i++) text.push_back(static_cast<uint8_t>(first + i * 37));
      Bytes coded(hpack::huffman_length(text));
      ASSERT_EQ(hpack::huffman_encode(text, coded.data()), coded.data() + coded.size());
      Bytes out(coded.size() * 8 / 5 + 1);
      ASSERT_EQ(hpack::huffman_decode(coded, out.data()), count);
      ASSERT_TRUE(std::equal(text.begin(), text.end(), out.begin()));
    }
  }
}

TEST(Huffman, RefusesEosAndBadPadding) {
  Bytes out(64);
  for (const Bytes& bad : {Bytes{0xff, 0xff, 0xff, 0xff}, Bytes{0x1f, 0xff}, Bytes{0x1e}, Bytes{0xff}}) EXPECT_EQ(hpack::huffman_decode(bad, out.data()), -1);
  EXPECT_EQ(hpack::huffman_decode({}, out.data()), 0);
}

TEST(Hpack, DecodesWhatItEncodesWithTablesOfManySizes) {
  hpack::Encoder encoder;
  hpack::Decoder decoder;
  hpack::ListLimits limits;
  for (uint32_t round = 0; round < 500; round++) {
    if (round % 50 == 49) encoder.set_peer_table_bytes(round * 7 % 4096);
    Bytes block;
    encoder.begin(block);
    const std::string name = "x-name-" + std::to_string(round % 23);
    const std::string value(round * 13 % 300, static_cast<char>('a' + round % 26));
    encoder.field(name, value, hpack::Encoder::Policy::kIndex, block);
    encoder.field(":status", "200", hpack::Encoder::Policy::kIndex, block);
    ASSERT_TRUE(decoder.decode(block, kBlockFields, limits));
    ASSERT_EQ(decoder.table()[layout::kHeadCount], 2);
    ASSERT_EQ(encoder.dynamic_table().count(), decoder.dynamic_table().count());
    ASSERT_EQ(encoder.dynamic_table().size(), decoder.dynamic_table().size());
    const auto words = decoder.table().subspan(layout::kHeadFields);
    ASSERT_EQ(std::string(decoder.bytes().begin() + words[2], decoder.bytes().begin() + words[2] + words[3]), value);
  }
}

TEST(Http2, ServesAnExchange) {
  Connection connection(true, kOptionDefaults, 0);
  EXPECT_EQ(kinds(connection, kClientPreface), (std::vector<int>{kEventSettings, kEventSettingsAck}));
  Event last;
  EXPECT_EQ(kinds(connection, joined({frame(kTypeHeaders, kFlagEndHeaders, 1, kGet), frame(kTypeData, kFlagEndStream, 1, {'h', 'i'})}), &last),
            (std::vector<int>{kEventHead, kEventData}));
  EXPECT_TRUE(last.ends);
  connection.output().clear();
  std::array<int32_t, layout::kEditLines> edits{};
  edits[layout::kEditStatus] = 204;
  edits[layout::kEditMethodBytes] = edits[layout::kEditTargetBytes] = -1;
  EXPECT_TRUE(connection.respond(1, {{}, nullptr, edits, nullptr, {}}, true));
  EXPECT_EQ(connection.output(), frame(kTypeHeaders, kFlagEndHeaders | kFlagEndStream, 1, {0x89}));
  EXPECT_EQ(connection.open(), 0u);
}

TEST(Http2, BreaksOnABadFrameAndReadsNoMore) {
  Connection connection(true, kOptionDefaults, 0);
  (void)kinds(connection, kClientPreface);
  Event last;
  EXPECT_EQ(kinds(connection, frame(kTypePing, 0, 0, {1, 2, 3}), &last), (std::vector<int>{kEventFault}));
  EXPECT_STREQ(last.fault->code, "BAD_FRAME_SIZE");
  EXPECT_EQ(last.error, static_cast<uint32_t>(kErrorFrameSizeError));
  EXPECT_TRUE(kinds(connection, frame(kTypeHeaders, kFlagEndHeaders, 1, kGet)).empty());
}

TEST(Http2, AResetStreamMayBeReusedByNobodyAndItsDataIsGivenBack) {
  Options options = kOptionDefaults;
  options[kOptionConnectionWindow] = 65535;
  Connection connection(true, options, 0);
  (void)kinds(connection, kClientPreface);
  (void)kinds(connection, frame(kTypeHeaders, kFlagEndHeaders, 1, kGet));
  connection.reset(1, kErrorCancel);
  connection.output().clear();
  EXPECT_TRUE(kinds(connection, joined({frame(kTypeData, 0, 1, Bytes(16384)), frame(kTypeData, 0, 1, Bytes(16384))})).empty());
  EXPECT_EQ(connection.output(), frame(kTypeWindowUpdate, 0, 0, {0, 0, 0x80, 0}));
}
