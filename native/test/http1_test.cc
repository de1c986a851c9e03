#include "../http1.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "../http1_chars.h"

namespace sluice::http1 {
namespace {

using namespace layout;

std::span<const uint8_t> bytes_of(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }
int32_t at(std::span<const int32_t> table, int index) { return table[static_cast<size_t>(index)]; }
std::string_view part(std::string_view text, std::span<const int32_t> table, int word) {
  return text.substr(static_cast<size_t>(at(table, word)), static_cast<size_t>(at(table, word + 1)));
}

/// Feeds the text byte by byte, each time from memory of exactly that length, so that a read past the end is seen by the sanitizer.
Parsed feed(HeadParser& parser, std::string_view text, const Limits& limits) {
  Parsed parsed = Parsed::kMore;
  for (size_t length = 0; length <= text.size() && parsed == Parsed::kMore; length++) {
    const std::vector<uint8_t> piece(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(length));
    parsed = parser.parse(piece, limits);
  }
  return parsed;
}

struct Seen {
  std::string code;
  uint32_t offset = 0;
  uint16_t status = 0;
  bool operator==(const Seen&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Seen& seen) { return out << seen.code << " at " << seen.offset << ": " << seen.status; }

/// The fault of a head, the same whole and byte by byte.
Seen fault_of(std::string_view text, bool is_response = false, const Limits& limits = {}) {
  HeadParser parser;
  parser.reset(is_response);
  const Parsed whole = parser.parse(bytes_of(text), limits);
  const Seen seen = whole == Parsed::kFault ? Seen{parser.fault().code, parser.fault().offset, parser.fault().status} : Seen{};
  parser.reset(is_response);
  EXPECT_EQ(feed(parser, text, limits), whole) << text;
  if (whole == Parsed::kFault) {
    EXPECT_EQ(seen, (Seen{parser.fault().code, parser.fault().offset, parser.fault().status})) << text;
    EXPECT_EQ(parser.parse(bytes_of(text), limits), Parsed::kFault) << "a fault stays";
  }
  return seen;
}

TEST(HeadParser, TakesARequestApart) {
  const std::string text = "\r\nGET http://a.test:80/x?y HTTP/1.1\r\nHost: b\r\nX-Odd:  v w \t\r\n\r\n";
  HeadParser parser;
  parser.reset(false);
  EXPECT_FALSE(parser.started());
  ASSERT_EQ(feed(parser, text, {}), Parsed::kHead);
  EXPECT_TRUE(parser.started());
  EXPECT_EQ(parser.skipped(), 2U);
  const auto table = parser.table();
  EXPECT_EQ(part(text, table, kHeadMethod), "GET");
  EXPECT_EQ(part(text, table, kHeadTarget), "http://a.test:80/x?y");
  EXPECT_EQ(part(text, table, kHeadAuthority), "a.test:80");
  EXPECT_EQ(part(text, table, kHeadPath), "/x?y");
  EXPECT_EQ(at(table, kHeadHeadBytes), static_cast<int32_t>(text.size()) - 2);
  ASSERT_EQ(at(table, kHeadCount), 2);
  EXPECT_EQ(part(text, table, kHeadFields + kFieldWords + 2), "v w");
  EXPECT_EQ(at(table, kHeadKnown + kKnownHost - 1), 1);
  EXPECT_EQ(at(table, kHeadFlags), kFlagHttp11 | kFlagKeepAlive | kFlagEnd | kFlagAbsoluteForm | kFlagIdempotent);
}

TEST(HeadParser, IsReadyForTheNextHeadAfterReset) {
  HeadParser parser;
  parser.reset(false);
  ASSERT_EQ(parser.parse(bytes_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"), {}), Parsed::kHead);
  parser.reset(true);
  ASSERT_EQ(parser.parse(bytes_of("HTTP/1.1 204 No Content\r\n\r\n"), {}), Parsed::kHead);
  EXPECT_EQ(at(parser.table(), kHeadStatus), 204);
  EXPECT_EQ(at(parser.table(), kHeadLengthHigh), -1);
  EXPECT_EQ(at(parser.table(), kHeadCount), 0);
}

TEST(HeadParser, RejectsTheSameAtTheSameByteHoweverTheInputIsSplit) {
  const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n";
  EXPECT_EQ(fault_of(get + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), (Seen{"CONTENT_LENGTH_AND_TRANSFER_ENCODING", 44, 400}));
  EXPECT_EQ(fault_of(get + "Content-Length: 3\r\nContent-Length: 3\r\n"), (Seen{"DUPLICATE_CONTENT_LENGTH", 44, 400}));
  EXPECT_EQ(fault_of(get + "Content-Length: 9007199254740992\r\n"), (Seen{"BAD_CONTENT_LENGTH", 41, 400}));
  EXPECT_EQ(fault_of(get + "Transfer-Encoding: gzip, chunked\r\n"), (Seen{"BAD_TRANSFER_ENCODING", 44, 400}));
  EXPECT_EQ(fault_of(get + "X : y\r\n"), (Seen{"SPACE_BEFORE_COLON", 26, 400}));
  EXPECT_EQ(fault_of(get + "X: y\r\n z\r\n"), (Seen{"OBS_FOLD", 31, 400}));
  EXPECT_EQ(fault_of(get + "X: y\n"), (Seen{"BARE_LF", 29, 400}));
  EXPECT_EQ(fault_of(get + "X: y\rz"), (Seen{"BARE_CR", 29, 400}));
  EXPECT_EQ(fault_of(get + "X: aaaaaaaaaaaaaaaaaaa\x7f\r\n"), (Seen{"BAD_VALUE", 47, 400}));
  EXPECT_EQ(fault_of(get + "\rX"), (Seen{"BARE_CR", 25, 400}));
  EXPECT_EQ(fault_of("GET / HTTP/1.1\r\n\r\n"), (Seen{"MISSING_HOST", 16, 400}));
  EXPECT_EQ(fault_of("GET / HTTP/2.0\r\n"), (Seen{"VERSION_NOT_SUPPORTED", 11, 505}));
  EXPECT_EQ(fault_of("GET /#a HTTP/1.1\r\n"), (Seen{"BAD_TARGET", 5, 400}));
  EXPECT_EQ(fault_of("\r\n\r\n\r\n"), (Seen{"EMPTY_LINES", 4, 400}));
  EXPECT_EQ(fault_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n", true), (Seen{"BAD_TRANSFER_ENCODING", 36, 502}));
  EXPECT_EQ(fault_of(get + "\r\n"), Seen{});
}

TEST(HeadParser, KeepsItsLimits) {
  const std::string text = "GET /1234 HTTP/1.1\r\nHost: a\r\nB_c: d\r\n\r\n";
  Limits limits;
  limits.max_head_bytes = static_cast<uint32_t>(text.size());
  EXPECT_EQ(fault_of(text, false, limits), Seen{});
  limits.max_head_bytes--;
  EXPECT_EQ(fault_of(text, false, limits), (Seen{"HEAD_TOO_LARGE", limits.max_head_bytes, 431}));
  EXPECT_EQ(fault_of(text, false, {.max_headers = 1}), (Seen{"TOO_MANY_HEADERS", 29, 431}));
  EXPECT_EQ(fault_of(text, false, {.max_target_bytes = 4}), (Seen{"TARGET_TOO_LARGE", 8, 414}));
  EXPECT_EQ(fault_of(text, false, {.underscores = Underscores::kReject}), (Seen{"UNDERSCORE_IN_NAME", 30, 400}));
  EXPECT_EQ(fault_of("GET / HTTP/1.0\r\n", false, {.accept_http10 = false}), (Seen{"VERSION_NOT_SUPPORTED", 11, 505}));
}

TEST(KnownNames, AreFoundInAnyCaseAndNoOthersAre) {
  for (int id = 1; id <= kKnownCount; id++) {
    std::string name(kKnownNames[static_cast<size_t>(id - 1)]);
    EXPECT_EQ(known_id(bytes_of(name).data(), name.size()), id) << name;
    for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    EXPECT_EQ(known_id(bytes_of(name).data(), name.size()), id) << name;
    name.back() = name.back() == 'Q' ? 'P' : 'Q';
    EXPECT_EQ(known_id(bytes_of(name).data(), name.size()), 0) << name;
  }
  EXPECT_EQ(known_id(bytes_of("x").data(), 1), 0);
}

TEST(PlainPrefix, StopsBeforeControlBytesOnly) {
  for (int byte = 0; byte < 256; byte++) {
    for (size_t place = 0; place < 8; place++) {
      std::string word(8, 'a');
      word[place] = static_cast<char>(byte);
      const bool is_control = byte < 0x20 || byte == 0x7f;
      EXPECT_EQ(plain_prefix(bytes_of(word).data(), word.size()), is_control ? 0U : 8U) << byte << " at " << place;
    }
  }
}

struct BodySeen {
  std::string data;
  std::string trailers;
  size_t consumed = 0;
  bool ended = false;
  Seen fault;
};

constexpr std::string_view kChunkedHead = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

BodySeen read_body(std::string_view head, std::string_view body, size_t step) {
  HeadParser parser;
  parser.reset(head.starts_with("HTTP/"));
  EXPECT_EQ(parser.parse(bytes_of(head), {}), Parsed::kHead);
  BodyReader reader;
  (void)reader.start(parser.table(), nullptr);
  BodySeen seen;
  for (size_t end = std::min(step, body.size());; end = std::min(end + step, body.size())) {
    while (true) {
      const std::vector<uint8_t> input(body.begin() + static_cast<std::ptrdiff_t>(seen.consumed), body.begin() + static_cast<std::ptrdiff_t>(end));
      const auto piece = reader.next(input);
      seen.consumed += piece.consumed;
      seen.data.append(piece.data.begin(), piece.data.end());
      if (piece.kind == BodyReader::Piece::Kind::kData) continue;
      if (piece.kind == BodyReader::Piece::Kind::kFault) seen.fault = {piece.fault.code, piece.fault.offset, piece.fault.status};
      if (piece.kind == BodyReader::Piece::Kind::kEnd) {
        seen.ended = true;
        seen.trailers = reader.trailers();
      }
      if (piece.kind != BodyReader::Piece::Kind::kMore) return seen;
      break;
    }
    if (end == body.size()) return seen;
  }
}

TEST(BodyReader, TakesChunksApartHoweverTheInputIsSplit) {
  const std::string body = "5;a=\"b\\\"\"\r\nhello\r\n06\r\n world\r\n0\r\nHost: x\r\nX-Sum: 1 \r\n\r\n";
  for (const size_t step : {size_t{1}, size_t{3}, size_t{100}}) {
    const BodySeen seen = read_body(kChunkedHead, body + "GET", step);
    EXPECT_EQ(seen.data, "hello world");
    EXPECT_EQ(seen.trailers, "X-Sum: 1 \r\n");
    EXPECT_EQ(seen.consumed, body.size());
    EXPECT_TRUE(seen.ended);
  }
}

TEST(BodyReader, RejectsTheSameAtTheSameByteHoweverTheInputIsSplit) {
  const auto base = static_cast<uint32_t>(kChunkedHead.size());
  const std::vector<std::tuple<std::string, std::string, uint32_t, uint16_t>> cases = {
      {"5 \r\n", "BAD_CHUNK_SIZE", 1, 400},
      {"20000000000000\r\n", "BAD_CHUNK_SIZE", 13, 400},
      {"5\nhello", "BARE_LF", 1, 400},
      {"5\r\nhello!", "BAD_CHUNK_END", 8, 400},
      {"5;a=\"\n\"", "BAD_CHUNK_EXTENSION", 5, 400},
      {"5;" + std::string(20000, 'a'), "CHUNK_EXTENSIONS_TOO_LARGE", 2 + rules::kMaxExtensionBytes, 413},
      {"0\r\nabc\r\n", "MISSING_COLON", 6, 400},
      {"0\r\na: " + std::string(20000, 'a'), "TRAILERS_TOO_LARGE", 3 + rules::kMaxTrailerBytes, 431},
  };
  for (const auto& [body, code, offset, status] : cases) {
    for (const size_t step : {size_t{1}, size_t{7}, body.size()}) EXPECT_EQ(read_body(kChunkedHead, body, step).fault, (Seen{code, base + offset, status})) << body.substr(0, 20);
  }
}

TEST(BodyReader, CountsABodyThatIsMovedWithoutIt) {
  HeadParser parser;
  parser.reset(false);
  ASSERT_EQ(parser.parse(bytes_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"), {}), Parsed::kHead);
  BodyReader reader;
  ASSERT_EQ(reader.start(parser.table(), nullptr), BodyFraming::kLength);
  EXPECT_EQ(reader.remaining(), 10U);
  reader.skip(4);
  EXPECT_EQ(reader.next(bytes_of("abcdefgh")).data.size(), 6U);
  EXPECT_FALSE(reader.mid_message());
  EXPECT_EQ(reader.next({}).kind, BodyReader::Piece::Kind::kEnd);
}

TEST(WriteHead, ForwardsWhatNobodyChangedByteForByte) {
  const std::string text = "GET /a HTTP/1.1\r\nhOsT:a\r\nB: c\r\nEmpty:\r\n\r\n";
  HeadParser parser;
  parser.reset(false);
  ASSERT_EQ(parser.parse(bytes_of(text), {}), Parsed::kHead);
  std::vector<uint8_t> out = {'x'};
  write_head(parser.table(), bytes_of(text).data(), {}, nullptr, {}, out);
  EXPECT_EQ(std::string(out.begin(), out.end()), "x" + text);
}

TEST(WriteHead, GrowsByWhatTheEditsAdd) {
  const std::string text = "GET http://" + std::string(200, 'h') + " HTTP/1.1\r\nHost: a\r\nB:c\r\nConnection: x\r\n\r\n";
  HeadParser parser;
  parser.reset(false);
  ASSERT_EQ(parser.parse(bytes_of(text), {}), Parsed::kHead);
  const std::string values = std::string(500, 'v') + std::string(300, 't') + "X: y\r\n";
  const std::vector<int32_t> edits = {0, 0, 0, -1, 500, 300, 800, 6, 1, 1, 0, 500};
  std::vector<uint8_t> out;
  write_head(parser.table(), bytes_of(text).data(), edits, bytes_of(values).data(), {.framing = BodyFraming::kChunked, .close = true}, out);
  EXPECT_EQ(std::string(out.begin(), out.end()), "GET " + std::string(300, 't') + " HTTP/1.1\r\nHost: " + std::string(200, 'h') + "\r\nB: " + std::string(500, 'v') +
                                                     "\r\nX: y\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n");
}

TEST(WriteChunk, FramesDataAndEnd) {
  std::vector<uint8_t> out;
  write_chunk_head(0x1a2b, out);
  write_last_chunk("A: b\r\n", out);
  EXPECT_EQ(std::string(out.begin(), out.end()), "1a2b\r\n0\r\nA: b\r\n\r\n");
}

}  // namespace
}  // namespace sluice::http1
