// What the framer costs where the engine calls it, without the way through N-API: `npm run bench -- micro` compiles and runs this.
//   native_micro SECONDS      prints "name<TAB>nanoseconds" for each operation: medians of 7 runs
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "frame_decoder.h"
#include "head_layout.h"
#include "hpack.h"
#include "http1.h"
#include "http2_connection.h"

namespace {

using Clock = std::chrono::steady_clock;
using sluice::http1::BodyFraming;
using sluice::http1::BodyReader;
using sluice::http1::HeadParser;
using sluice::http1::Parsed;

std::span<const uint8_t> bytes_of(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

std::string read_all(const char* path) {
  std::string text;
  std::FILE* file = std::fopen(path, "rb");
  if (file == nullptr) {
    std::perror(path);
    std::exit(1);
  }
  std::array<char, 4096> buffer{};
  for (size_t got = 0; (got = std::fread(buffer.data(), 1, buffer.size(), file)) > 0;) text.append(buffer.data(), got);
  std::fclose(file);
  return text;
}

double nanoseconds(double seconds, const std::function<void()>& operation) {
  constexpr int kRuns = 7;
  constexpr int kBatch = 256;
  std::array<double, kRuns> results{};
  for (double& result : results) {
    const auto start = Clock::now();
    const auto end = start + std::chrono::duration<double>(seconds / kRuns);
    uint64_t count = 0;
    auto now = start;
    for (; now < end; now = Clock::now()) {
      for (int i = 0; i < kBatch; i++) operation();
      count += kBatch;
    }
    result = std::chrono::duration<double, std::nano>(now - start).count() / static_cast<double>(count);
  }
  std::sort(results.begin(), results.end());
  return results[kRuns / 2];
}

void must(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "native_micro: %s\n", what);
  std::exit(1);
}

}  // namespace

/// Inputs are files, written by micro.ts, so that both implementations get the same bytes: `request`, `response`, `chunked` (head and body), a frame, and
/// the byte-code of its layout; two field blocks of one connection, and its frames.
int main(int argc, char** argv) {
  must(argc == 11, "SECONDS REQUEST RESPONSE CHUNKED FRAME PROGRAM H2_FIRST H2_AGAIN H2_PREFACE H2_DATA");
  const double seconds = std::atof(argv[1]);
  const std::string request = read_all(argv[2]);
  const std::string response = read_all(argv[3]);
  const std::string chunked = read_all(argv[4]);
  const sluice::http1::Limits limits;
  HeadParser parser;

  const auto parse = [&](const std::string& text, bool is_response) {
    parser.reset(is_response);
    must(parser.parse(bytes_of(text), limits) == Parsed::kHead, "the head is not whole");
  };
  std::printf("parse request head\t%.1f\n", nanoseconds(seconds, [&] { parse(request, false); }));
  std::printf("parse response head\t%.1f\n", nanoseconds(seconds, [&] { parse(response, true); }));

  parse(request, false);
  std::array<int32_t, sluice::layout::kEditLines> edits{};
  edits[sluice::layout::kEditMethodBytes] = -1;
  edits[sluice::layout::kEditTargetBytes] = -1;
  const std::string lines = "x-request-id: 7a3c6f1e-52a5-4dc4-9a2f-0e5b7f0d9c11\r\nx-forwarded-proto: http\r\n";
  edits[sluice::layout::kEditAppendBytes] = static_cast<int32_t>(lines.size());
  std::vector<uint8_t> out;
  std::printf("write request head\t%.1f\n", nanoseconds(seconds, [&] {
                out.clear();
                sluice::http1::write_head(parser.table(), bytes_of(request).data(), edits, bytes_of(lines).data(), {}, out);
              }));

  parse(chunked, true);
  const size_t head_bytes = static_cast<size_t>(parser.table()[sluice::layout::kHeadHeadBytes]);
  sluice::http1::RequestContext context;
  std::printf("read chunked body\t%.1f\n", nanoseconds(seconds, [&] {
                BodyReader reader;
                must(reader.start(parser.table(), &context) == BodyFraming::kChunked, "the body is not chunked");
                auto input = bytes_of(chunked).subspan(head_bytes);
                for (;;) {
                  const auto piece = reader.next(input);
                  input = input.subspan(piece.consumed);
                  if (piece.kind == BodyReader::Piece::Kind::kEnd) break;
                  must(piece.kind == BodyReader::Piece::Kind::kData, "the chunked body is broken");
                }
              }));

  const std::string frame = read_all(argv[5]);
  const std::string code = read_all(argv[6]);
  std::vector<int32_t> words(code.size() / sizeof(int32_t));
  std::memcpy(words.data(), code.data(), words.size() * sizeof(int32_t));
  const auto program = sluice::FrameProgram::load(words, words.size());
  must(program.has_value(), "the byte-code is broken");
  const sluice::FrameDecoder decoder(*program, {1 << 24, 0});
  std::vector<int32_t> table(program->table_words());
  std::printf("decode a described frame\t%.1f\n", nanoseconds(seconds, [&] {
                must(decoder.decode(bytes_of(frame), table).kind == sluice::Decoded::Kind::kWhole, "the frame is not whole");
              }));

  namespace rules = sluice::http2::rules;
  const std::string first = read_all(argv[7]);
  const std::string again = read_all(argv[8]);
  const sluice::hpack::ListLimits list_limits;
  sluice::hpack::Decoder fields;
  const auto decode = [&](const std::string& block) {
    must(fields.decode(bytes_of(block), rules::kBlockRequest, list_limits) && fields.fault().kind == nullptr, "the field block is broken");
  };
  decode(first);
  std::printf("HPACK decode indexed\t%.1f\n", nanoseconds(seconds, [&] { decode(again); }));
  std::printf("HPACK decode literals\t%.1f\n", nanoseconds(seconds, [&] { decode(first); }));
  sluice::hpack::Encoder encoder;
  std::printf("HPACK encode request\t%.1f\n", nanoseconds(seconds, [&] {
                out.clear();
                encoder.head(fields.table(), fields.bytes().data(), {}, nullptr, {}, out);
              }));

  const std::string preface = read_all(argv[9]);
  const std::string data = read_all(argv[10]);
  sluice::http2::Connection connection(true, rules::kOptionDefaults, 0);
  const auto read = [&](const std::string& input) {
    size_t at = 0;
    for (;;) {
      const sluice::http2::Event& event = connection.next(bytes_of(input), at, 0);
      if (event.kind == rules::kEventMore) break;
      must(event.kind != rules::kEventFault, "the frames are broken");
      if (event.kind == rules::kEventData) connection.consume(event.stream, static_cast<uint32_t>(event.bytes.size()));
    }
    connection.output().clear();
  };
  read(preface);
  std::printf("read 16 DATA frames\t%.1f\n", nanoseconds(seconds, [&] { read(data); }));
  return 0;
}
