// A small stand-in for libFuzzer where the compiler has none (g++): runs every file of the corpus, then random mutations of them for a while.
//   <fuzzer> [-max_total_time=SECONDS] [-seed=N] [-max_len=BYTES] [FILE|FOLDER...]
// The input that is running is written to ./crash-<seed>-<run> before the process dies of a signal, so that it can be run again by name.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;

struct Running {
  const uint8_t* data = nullptr;
  size_t size = 0;
  char path[64] = {};
};
// What a signal handler must reach; set before each run.
Running running;

void save() {
  const int fd = open(running.path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd < 0) return;
  if (write(fd, running.data, running.size) < 0) running.path[0] = '\0';
  close(fd);
}
void on_signal(int number) {
  save();
  constexpr std::string_view text = "fuzz: the input was saved as ./crash-*\n";
  if (write(STDERR_FILENO, text.data(), text.size()) < 0) _exit(1);
  std::signal(number, SIG_DFL);
  std::raise(number);
}

Bytes read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

constexpr std::string_view kWords[] = {"\r\n",      "\r\n\r\n", "\n",   "\r",  ": ",    " ",    "\t",   "0\r\n\r\n",           "content-length: ", "transfer-encoding: chunked\r\n",
                                       "HTTP/1.1",  "HTTP/1.0", "GET ", "host: x\r\n", ",", ";", "chunked", "18446744073709551615", "ffffffffffffffff", std::string_view("\0", 1),
                                       "connection: close\r\n", "200 OK", "\xff", "\x80", "-1"};

class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}
  size_t below(size_t bound) { return bound == 0 ? 0 : std::uniform_int_distribution<size_t>(0, bound - 1)(random_); }

  void mutate(Bytes& input, const std::vector<Bytes>& corpus, size_t max_bytes) {
    for (size_t rounds = 1 + below(6); rounds > 0; rounds--) once(input, corpus);
    if (input.size() > max_bytes) input.resize(max_bytes);
  }

 private:
  void once(Bytes& input, const std::vector<Bytes>& corpus) {
    const size_t at = below(input.size() + 1);
    const auto place = input.begin() + static_cast<ptrdiff_t>(at);
    switch (below(8)) {
      case 0:  // another bit
        if (at < input.size()) input[at] ^= static_cast<uint8_t>(1U << below(8));
        break;
      case 1:  // another byte
        if (at < input.size()) input[at] = static_cast<uint8_t>(below(256));
        break;
      case 2:  // bytes gone
        input.erase(place, place + static_cast<ptrdiff_t>(std::min(input.size() - at, 1 + below(16))));
        break;
      case 3: {  // a word of the protocol
        const std::string_view word = kWords[below(std::size(kWords))];
        input.insert(place, word.begin(), word.end());
        break;
      }
      case 4: {  // a piece of itself again
        const size_t from = below(input.size());
        const size_t count = std::min(input.size() - from, 1 + below(64));
        const Bytes piece(input.begin() + static_cast<ptrdiff_t>(from), input.begin() + static_cast<ptrdiff_t>(from + count));
        input.insert(place, piece.begin(), piece.end());
        break;
      }
      case 5: {  // the tail of another one
        const Bytes& other = corpus[below(corpus.size())];
        input.resize(at);
        const size_t from = below(other.size());
        input.insert(input.end(), other.begin() + static_cast<ptrdiff_t>(from), other.end());
        break;
      }
      case 6:  // cut short
        input.resize(at);
        break;
      default:  // one byte many times: limits
        input.insert(place, 1 + below(300), static_cast<uint8_t>(below(2) == 0 ? 'a' : below(256)));
    }
  }
  std::mt19937_64 random_;
};

}  // namespace

int main(int argc, char** argv) {
  uint64_t seed = std::random_device{}();
  double seconds = 0;
  size_t max_bytes = 4096;
  std::vector<Bytes> corpus;
  for (int i = 1; i < argc; i++) {
    const std::string arg = argv[i];
    if (arg.starts_with("-max_total_time=")) {
      seconds = std::stod(arg.substr(16));
    } else if (arg.starts_with("-seed=")) {
      seed = std::stoull(arg.substr(6));
    } else if (arg.starts_with("-max_len=")) {
      max_bytes = std::stoull(arg.substr(9));
    } else if (std::filesystem::is_directory(arg)) {
      for (const auto& entry : std::filesystem::directory_iterator(arg)) corpus.push_back(read_file(entry.path()));
    } else if (std::filesystem::exists(arg)) {
      corpus.push_back(read_file(arg));
    }
  }
  for (const int number : {SIGABRT, SIGSEGV, SIGFPE, SIGBUS, SIGILL}) std::signal(number, on_signal);
  std::fprintf(stderr, "fuzz: seed %llu, %zu files\n", static_cast<unsigned long long>(seed), corpus.size());

  unsigned long long runs = 0;
  const auto run = [&](const Bytes& input) {
    std::snprintf(running.path, sizeof running.path, "crash-%llu-%llu", static_cast<unsigned long long>(seed), ++runs);
    // A copy of the exact size, so that the address sanitizer sees a read past its end.
    const Bytes exact(input);
    running.data = exact.data();
    running.size = exact.size();
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
  };
  for (const Bytes& input : corpus) run(input);
  if (corpus.empty()) corpus.emplace_back();
  Mutator mutator(seed);
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  Bytes input;
  while (std::chrono::steady_clock::now() < end) {
    for (int i = 0; i < 64; i++) {
      input = corpus[mutator.below(corpus.size())];
      mutator.mutate(input, corpus, max_bytes);
      run(input);
    }
  }
  std::fprintf(stderr, "fuzz: %llu runs, no fault\n", runs);
  return 0;
}
