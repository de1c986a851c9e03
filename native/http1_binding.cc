// HTTP/1 framing for JavaScript, over whole inputs: so that it can be compared with codecs/http1 and measured. The engine does not come this way.
#include <napi.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http1.h"
#include "table_arguments.h"

namespace {

using sluice::http1::BodyFraming;
using sluice::http1::BodyReader;
using sluice::http1::Fault;
using sluice::http1::HeadParser;
using sluice::http1::Limits;
using sluice::http1::OutHead;
using sluice::http1::Parsed;
using sluice::http1::RequestContext;
using sluice::http1::Underscores;
using sluice::arguments::bytes_of;
using sluice::arguments::edits_fit;
using sluice::arguments::ints_of;
using sluice::arguments::is_head_table;
using sluice::arguments::is_inside;
using sluice::arguments::wrong;

namespace layout = sluice::layout;

constexpr std::array<const char*, 4> kFramings = {"none", "length", "chunked", "until-close"};

[[nodiscard]] std::optional<Limits> limits_of(const Napi::Value& value) {
  if (!value.IsObject()) return std::nullopt;
  const auto object = value.As<Napi::Object>();
  Limits limits;
  for (const auto& [name, to] : {std::pair{"maxHeadBytes", &limits.max_head_bytes}, {"maxHeaders", &limits.max_headers}, {"maxTargetBytes", &limits.max_target_bytes}}) {
    const Napi::Value number = object.Get(name);
    if (!number.IsNumber()) return std::nullopt;
    *to = number.As<Napi::Number>().Uint32Value();
  }
  limits.accept_http10 = object.Get("acceptHttp10").ToBoolean();
  const Napi::Value underscores = object.Get("underscores");
  if (!underscores.IsString()) return std::nullopt;
  const std::string word = underscores.As<Napi::String>().Utf8Value();
  limits.underscores = word == "reject" ? Underscores::kReject : word == "drop" ? Underscores::kDrop : Underscores::kAllow;
  return limits;
}

/// The lines lie behind one another and in the head, as the writer of HTTP/1 needs it.
[[nodiscard]] bool fits(std::span<const int32_t> table, std::span<const uint8_t> bytes) {
  for (const int word : {layout::kHeadMethod, layout::kHeadTarget, layout::kHeadAuthority, layout::kHeadPath}) {
    if (!is_inside(table[static_cast<size_t>(word)], table[static_cast<size_t>(word) + 1], bytes.size())) return false;
  }
  int64_t total = 0;
  for (int32_t i = 0; i < table[layout::kHeadCount]; i++) {
    const int32_t* const field = table.data() + layout::kHeadFields + i * layout::kFieldWords;
    const int32_t name_bytes = field[1] & 0xffff;
    if (field[0] < 0 || field[2] < field[0] + name_bytes || field[3] < 0 || !is_inside(field[2], field[3], bytes.size()) || static_cast<size_t>(field[2]) > bytes.size()) return false;
    total += field[2] + field[3] - field[0] + 2;
  }
  return total <= table[layout::kHeadHeadBytes] && static_cast<size_t>(table[layout::kHeadHeadBytes]) <= bytes.size();
}
Napi::Object fault_object(Napi::Env env, const Fault& fault) {
  auto object = Napi::Object::New(env);
  object.Set("code", fault.code);
  object.Set("offset", fault.offset);
  object.Set("status", fault.status);
  return object;
}

/// `http1ParseHead(bytes, isResponse, limits, cuts?)`: `{ table, skipped }`, `{ fault }`, or undefined where more bytes are needed. `cuts`: ascending
/// lengths of the input that are shown before all of it, as if the bytes came in pieces.
Napi::Value ParseHead(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto bytes = bytes_of(info[0]);
  const auto limits = limits_of(info[2]);
  if (!bytes || !limits) return wrong(env, "http1ParseHead(bytes: Uint8Array, isResponse: boolean, limits, cuts?: Int32Array)");
  const auto cuts = ints_of(info[3]).value_or(std::span<const int32_t>{});
  HeadParser parser;
  parser.reset(info[1].ToBoolean());
  Parsed parsed = Parsed::kMore;
  for (const int32_t cut : cuts) {
    if (parsed != Parsed::kMore || cut < 0 || static_cast<size_t>(cut) > bytes->size()) break;
    parsed = parser.parse(bytes->first(static_cast<size_t>(cut)), *limits);
  }
  if (parsed == Parsed::kMore) parsed = parser.parse(*bytes, *limits);
  if (parsed == Parsed::kMore) return env.Undefined();
  auto result = Napi::Object::New(env);
  if (parsed == Parsed::kFault) {
    result.Set("fault", fault_object(env, parser.fault()));
    return result;
  }
  const auto words = parser.table();
  auto table = Napi::Int32Array::New(env, words.size());
  std::copy(words.begin(), words.end(), table.Data());
  result.Set("table", table);
  result.Set("skipped", parser.skipped());
  return result;
}

/// `http1Body(bytes, table, request | undefined, cuts?)`: reads the body of a head from `http1ParseHead` and answers
/// `{ framing, data, consumed, ended, midMessage, trailers, fault? }`.
Napi::Value Body(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto bytes = bytes_of(info[0]);
  const auto table = ints_of(info[1]);
  if (!bytes || !table || !is_head_table(*table)) return wrong(env, "http1Body(bytes: Uint8Array, table: Int32Array, request?, cuts?: Int32Array)");
  RequestContext request;
  if (info[2].IsObject()) {
    const auto object = info[2].As<Napi::Object>();
    request = {object.Get("isHead").ToBoolean(), object.Get("isConnect").ToBoolean(), object.Get("isUpgrade").ToBoolean(), object.Get("isHttp11").ToBoolean()};
  }
  std::vector<int32_t> ends;
  if (const auto cuts = ints_of(info[3])) ends.assign(cuts->begin(), cuts->end());
  ends.push_back(static_cast<int32_t>(bytes->size()));
  BodyReader reader;
  const BodyFraming framing = reader.start(*table, info[2].IsObject() ? &request : nullptr);
  std::vector<uint8_t> data;
  size_t consumed = 0;
  BodyReader::Piece piece;
  using Kind = BodyReader::Piece::Kind;
  for (const int32_t end : ends) {
    if (end < 0 || static_cast<size_t>(end) > bytes->size() || static_cast<size_t>(end) < consumed) continue;
    do {
      piece = reader.next(bytes->first(static_cast<size_t>(end)).subspan(consumed));
      consumed += piece.consumed;
      data.insert(data.end(), piece.data.begin(), piece.data.end());
    } while (piece.kind == Kind::kData);
    if (piece.kind != Kind::kMore) break;
  }
  auto result = Napi::Object::New(env);
  result.Set("framing", kFramings[static_cast<size_t>(framing)]);
  result.Set("data", Napi::Buffer<uint8_t>::Copy(env, data.data(), data.size()));
  result.Set("consumed", static_cast<double>(consumed));
  result.Set("ended", piece.kind == Kind::kEnd);
  result.Set("midMessage", reader.mid_message());
  const std::string_view trailers = piece.kind == Kind::kEnd ? reader.trailers() : std::string_view{};
  result.Set("trailers", Napi::Buffer<char>::Copy(env, trailers.data(), trailers.size()));
  if (piece.kind == Kind::kFault) result.Set("fault", fault_object(env, piece.fault));
  return result;
}

/// `http1WriteHead(bytes, table | undefined, editInts, editBytes, how)`: the head as it is sent. `how` as OutHead in framing.ts.
Napi::Value WriteHead(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto bytes = bytes_of(info[0]);
  const auto table = info[1].IsUndefined() ? std::span<const int32_t>{} : ints_of(info[1]);
  const auto edits = ints_of(info[2]);
  const auto edit_bytes = bytes_of(info[3]);
  if (!bytes || !table || !edits || !edit_bytes || !info[4].IsObject() || !edits_fit(*edits, *edit_bytes) ||
      (!table->empty() && (!is_head_table(*table) || !fits(*table, *bytes)))) {
    return wrong(env, "http1WriteHead(bytes: Uint8Array, table: Int32Array | undefined, editInts: Int32Array, editBytes: Uint8Array, how: OutHead)");
  }
  const auto object = info[4].As<Napi::Object>();
  const std::string word = object.Get("framing").ToString().Utf8Value();
  const auto framing = std::find(kFramings.begin(), kFramings.end(), word);
  if (framing == kFramings.end()) return wrong(env, "http1WriteHead: framing is none, length, chunked or until-close");
  const OutHead how{static_cast<BodyFraming>(framing - kFramings.begin()), object.Get("contentLength").ToNumber().Int64Value(), object.Get("close").ToBoolean(),
                    object.Get("keepAlive").ToBoolean(), object.Get("upgrade").ToBoolean()};
  std::vector<uint8_t> out;
  sluice::http1::write_head(*table, bytes->data(), *edits, edit_bytes->data(), how, out);
  return Napi::Buffer<uint8_t>::Copy(env, out.data(), out.size());
}

}  // namespace

/// Adds `http1ParseHead`, `http1Body` and `http1WriteHead` to the exports.
void RegisterHttp1(Napi::Env env, Napi::Object exports) {
  exports.Set("http1ParseHead", Napi::Function::New(env, ParseHead, "http1ParseHead"));
  exports.Set("http1Body", Napi::Function::New(env, Body, "http1Body"));
  exports.Set("http1WriteHead", Napi::Function::New(env, WriteHead, "http1WriteHead"));
}
