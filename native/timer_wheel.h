// One coarse wheel for the timers of connections: O(1) to start and stop, far deadlines are looked at once a turn.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice {

/// A member of the wheel; embed it. `deadline_ms` 0: stopped.
struct TimerNode {
  TimerNode* next = nullptr;
  TimerNode* previous = nullptr;
  double deadline_ms = 0;
  double slot_ms = 0;  ///< when its slot comes up
  uint8_t tag = 0;     ///< the owner's
};

class TimerWheel {
 public:
  static constexpr int kSlots = 512;
  static constexpr double kTickMs = 16;

  TimerWheel() noexcept {
    for (auto& head : slots_) head.next = head.previous = &head;
  }
  /// Starts (or restarts) a timer. A later deadline only changes a number: the node moves when its slot comes up.
  void start(TimerNode& node, double now_ms, double deadline_ms) noexcept {
    node.deadline_ms = deadline_ms;
    if (node.next != nullptr && node.slot_ms <= deadline_ms) return;
    if (node.next != nullptr) unlink(node);
    link(node, now_ms);
  }
  void stop(TimerNode& node) noexcept { node.deadline_ms = 0; }
  void remove(TimerNode& node) noexcept {
    if (node.next != nullptr) unlink(node);
    node.deadline_ms = 0;
  }
  /// Calls `fire(node)` for each timer that is due; the node is stopped and out of the wheel by then.
  template <typename Fire>
  void advance(double now_ms, Fire&& fire) {
    const auto target = static_cast<int64_t>(now_ms / kTickMs);
    if (target - tick_ > kSlots) tick_ = target - kSlots;  // every slot is looked at once
    while (tick_ < target) {
      ++tick_;
      TimerNode& head = slots_[static_cast<size_t>(tick_ % kSlots)];
      if (head.next == &head) continue;
      // The slot's list is taken over whole: a node that is put back may land in this very slot.
      TimerNode due;
      due.next = head.next;
      due.previous = head.previous;
      due.next->previous = due.previous->next = &due;
      head.next = head.previous = &head;
      while (due.next != &due) {
        TimerNode& node = *due.next;
        unlink(node);
        if (node.deadline_ms == 0) continue;
        if (node.deadline_ms > now_ms) {
          link(node, now_ms);
          continue;
        }
        node.deadline_ms = 0;
        fire(node);
      }
    }
  }
  /// Milliseconds until the next slot with a timer in it; -1: none.
  [[nodiscard]] double next_ms(double now_ms) const noexcept {
    if (count_ == 0) return -1;
    // From the last turn on: the clock may have passed slots since then that nobody has looked at.
    const auto now = static_cast<int64_t>(now_ms / kTickMs);
    const int64_t from = tick_ < now && now - tick_ < kSlots ? tick_ : now;
    for (int i = 1; i <= kSlots; i++) {
      const TimerNode& head = slots_[static_cast<size_t>((from + i) % kSlots)];
      if (head.next != &head) return std::max(0.0, static_cast<double>(from + i) * kTickMs - now_ms + 1);
    }
    return kTickMs;
  }

 private:
  [[nodiscard]] static size_t slot_of(const TimerNode& node) noexcept {
    return static_cast<size_t>(static_cast<int64_t>(node.slot_ms / kTickMs) % kSlots);
  }
  void link(TimerNode& node, double now_ms) noexcept {
    // The slot after the deadline's, at most one turn ahead.
    const double horizon = now_ms + (kSlots - 2) * kTickMs;
    const double at = (node.deadline_ms < horizon ? node.deadline_ms : horizon) + kTickMs;
    node.slot_ms = static_cast<double>(static_cast<int64_t>(at / kTickMs)) * kTickMs;
    TimerNode& head = slots_[slot_of(node)];
    node.previous = head.previous;
    node.next = &head;
    head.previous->next = &node;
    head.previous = &node;
    ++count_;
  }
  void unlink(TimerNode& node) noexcept {
    node.previous->next = node.next;
    node.next->previous = node.previous;
    node.next = node.previous = nullptr;
    --count_;
  }

  std::array<TimerNode, kSlots> slots_;
  int64_t tick_ = 0;
  size_t count_ = 0;
};

}  // namespace sluice
