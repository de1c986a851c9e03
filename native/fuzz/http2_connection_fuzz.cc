// Any bytes as a connection, downstream or upstream, with an owner that answers and resets: the same events and output however they are cut, and nothing grows.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "../http2_connection.h"

using namespace sluice;
using namespace sluice::http2;
using namespace sluice::http2::rules;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

struct Result {
  std::vector<uint64_t> events;
  std::vector<uint8_t> output;
};

/// Plays `input` in pieces of `step` bytes. DATA counts by its bytes, so that pieces add up.
Result play(bool is_server, const Options& options, const std::vector<uint8_t>& input, size_t step, uint8_t manners) {
  Connection connection(is_server, options, 0);
  Result result;
  std::array<int32_t, layout::kEditLines> edits{};
  edits[layout::kEditStatus] = is_server ? 200 : 0;
  edits[layout::kEditMethodBytes] = edits[layout::kEditTargetBytes] = -1;
  const Connection::OutHead head{{}, nullptr, edits, nullptr, {}};
  if (!is_server) {
    for (int i = 0; i < 3; i++) (void)connection.request(head, (manners & 1) != 0);
  }
  size_t at = 0;
  uint64_t data_bytes = 0;
  for (size_t end = 0; end < input.size();) {
    end = std::min(end + step, input.size());
    for (;;) {
      const Event event = connection.next(std::span(input).first(end), at, 0);
      require(at <= end);
      if (event.kind == kEventMore) break;
      if (event.kind == kEventData) {
        data_bytes += event.bytes.size();
        // Only at the end, so that windows open at the same places however the input is cut.
        if (event.ends) connection.consume(event.stream, 100);
        continue;
      }
      result.events.push_back(static_cast<uint64_t>(event.kind) << 32 | event.stream);
      if (event.kind == kEventReset) connection.release(event.stream);
      if (event.kind == kEventReset || event.kind == kEventFault || event.kind == kEventBadHead) result.events.push_back(event.offset);
      if (is_server && event.kind == kEventHead) {
        if ((manners & 2) != 0 && event.ends) (void)connection.respond(event.stream, head, (manners & 4) != 0);
        if ((manners & 8) != 0) connection.reset(event.stream, kErrorCancel);
      }
      require(connection.open() <= 1000);
    }
    if (step >= input.size()) continue;
  }
  result.events.push_back(data_bytes);
  result.output = connection.output();
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const bool is_server = (data[0] & 1) != 0;
  Options options = kOptionDefaults;
  if ((data[0] & 2) != 0) options[kOptionMaxConcurrentStreams] = 1;
  if ((data[0] & 4) != 0) options[kOptionStreamWindow] = 20;
  if ((data[0] & 8) != 0) options[kOptionResetsBurst] = 2;
  if ((data[0] & 16) != 0) options[kOptionExtendedConnect] = 1;
  const uint8_t manners = data[1];
  std::vector<uint8_t> input;
  if ((data[0] & 32) == 0) {
    if (is_server) input.insert(input.end(), kPreface.begin(), kPreface.end());
    const std::array<uint8_t, 9> settings = {0, 0, 0, kTypeSettings, 0, 0, 0, 0, 0};
    input.insert(input.end(), settings.begin(), settings.end());
  }
  input.insert(input.end(), data + 3, data + size);
  const Result whole = play(is_server, options, input, input.size() + 1, manners);
  const Result pieces = play(is_server, options, input, 1 + data[2] % 40, manners);
  require(whole.events == pieces.events);
  require(whole.output == pieces.output);
  return 0;
}
