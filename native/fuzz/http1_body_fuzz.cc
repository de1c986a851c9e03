// Any bytes as a body: the same data, end, trailers and fault however they are split, and never more than came in.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "../http1.h"

using namespace sluice::http1;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

struct Seen {
  std::vector<uint8_t> data;
  std::string trailers;
  size_t consumed = 0;
  BodyReader::Piece::Kind kind = BodyReader::Piece::Kind::kMore;
  Fault fault;
  bool mid_message = false;
};

Seen read(std::string_view head, const uint8_t* data, size_t size, size_t step) {
  using Kind = BodyReader::Piece::Kind;
  HeadParser parser;
  parser.reset(head.starts_with("HTTP/"));
  require(parser.parse({reinterpret_cast<const uint8_t*>(head.data()), head.size()}, {}) == Parsed::kHead);
  BodyReader reader;
  (void)reader.start(parser.table(), nullptr);
  Seen seen;
  size_t end = 0;
  do {
    end = std::min(end + step, size);
    while (true) {
      const std::vector<uint8_t> input(data + seen.consumed, data + end);
      const auto piece = reader.next(input);
      require(piece.consumed <= input.size());
      require(piece.data.empty() || (piece.data.data() >= input.data() && piece.data.data() + piece.data.size() <= input.data() + input.size()));
      require((piece.kind == Kind::kData) == !piece.data.empty());
      seen.consumed += piece.consumed;
      seen.data.insert(seen.data.end(), piece.data.begin(), piece.data.end());
      seen.kind = piece.kind;
      seen.fault = piece.fault;
      if (piece.kind != Kind::kData) break;
    }
  } while (end < size && seen.kind == Kind::kMore);
  if (seen.kind == Kind::kEnd) seen.trailers = reader.trailers();
  seen.mid_message = reader.mid_message();
  require(seen.data.size() <= seen.consumed);
  require(seen.kind != Kind::kEnd || !seen.mid_message);
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  constexpr std::array<std::string_view, 4> kHeads = {
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n",
      "HTTP/1.1 200 OK\r\n\r\n",
  };
  const std::string_view head = kHeads[data[0] % kHeads.size()];
  const size_t step = 1 + data[1] % 32;
  data += 2;
  size -= 2;
  const Seen whole = read(head, data, size, std::max<size_t>(size, 1));
  const Seen pieces = read(head, data, size, step);
  require(whole.kind == pieces.kind && whole.data == pieces.data && whole.consumed == pieces.consumed && whole.trailers == pieces.trailers);
  require(whole.mid_message == pieces.mid_message);
  if (whole.kind == BodyReader::Piece::Kind::kFault) {
    require(std::strcmp(whole.fault.code, pieces.fault.code) == 0 && whole.fault.offset == pieces.fault.offset && whole.fault.status == pieces.fault.status);
  }
  // Trailers that are handed on are lines, each with its CRLF, and hold no other.
  for (size_t from = 0; from < whole.trailers.size();) {
    const size_t end = whole.trailers.find("\r\n", from);
    require(end != std::string::npos && whole.trailers.find(':', from) < end && whole.trailers.find_first_of("\r\n", from) == end);
    from = end + 2;
  }
  return 0;
}
