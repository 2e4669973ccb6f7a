#include "profile.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <tuple>

#include "memory.h"

namespace emulator {

void Profile::add(const Tally &t) {
	threads++;
	sum.instructions += t.instructions, sum.loads += t.loads, sum.barriers += t.barriers;
	if (t.instructions > most.instructions) most = t;
}

static void add(Traffic &t, const Traffic &more) {
	t.requests += more.requests, t.cost += more.cost, t.best += more.best;
}

void Profile::add(const Profile &p) {
	emulator::add(device, p.device);
	emulator::add(shared, p.shared);
	launches += p.launches, blocks += p.blocks, threads += p.threads;
	sum.instructions += p.sum.instructions, sum.loads += p.sum.loads, sum.barriers += p.sum.barriers;
	if (p.most.instructions > most.instructions) most = p.most;
}

namespace {

// sectors is the cost of a warp's request to device memory.
Traffic sectors(const Trip *first, const Trip *end) {
	std::vector<uintptr_t> all;
	uint64_t bytes = 0;
	uintptr_t before = 0;
	for (const Trip *t = first; t < end; t++) {
		if (t->address != before) bytes += t->bytes; // several lanes may want the same
		before = t->address;
		for (uintptr_t a = t->address / 32; a <= (t->address + t->bytes - 1) / 32; a++) all.push_back(a);
	}
	std::sort(all.begin(), all.end());
	uint64_t cost = std::unique(all.begin(), all.end()) - all.begin();
	return {1, cost, std::min(cost, (bytes + 31) / 32)};
}

// turns is the cost of a warp's request to shared memory. The hardware serves 128 bytes
// at a time at most: lanes in two or four groups where they want 8 or 16 bytes each. Lanes
// that want the same word are served together.
Traffic turns(const Trip *first, const Trip *end) {
	Traffic t{1, 0, 0};
	const int groups = std::max<int>(1, first->bytes / 4), lanes = 32 / groups;
	for (int g = 0; g < groups; g++) {
		std::vector<uintptr_t> words;
		for (const Trip *s = first; s < end; s++) {
			if ((int)(s->thread % 32) / lanes != g) continue;
			for (uint32_t b = 0; b < s->bytes; b += 4) words.push_back((s->address + b) / 4);
		}
		if (words.empty()) continue;
		std::sort(words.begin(), words.end());
		words.erase(std::unique(words.begin(), words.end()), words.end());
		int banks[32] = {};
		for (uintptr_t w : words) banks[w % 32]++;
		t.cost += *std::max_element(banks, banks + 32);
		t.best++;
	}
	return t;
}

struct Profiles {
	std::mutex mutex;
	std::map<std::tuple<std::string, uint64_t, uint64_t>, Profile> launches; // by kernel, blocks and threads of all
};

Profiles &profiles() {
	static auto &p = *new Profiles;
	return p;
}

const char *path() {
	const char *p = getenv("SGFLOW_EMULATOR_PROFILE");
	return p && *p ? p : nullptr;
}

} // namespace

bool profiling() {
	static const bool wanted = path();
	return wanted;
}

void add_traffic(Profile &p, std::vector<Trip> &trips) {
	auto request = [](const Trip &t) { return std::make_tuple(t.thread / 32, t.site, t.turn); };
	std::sort(trips.begin(), trips.end(), [&](const Trip &a, const Trip &b) {
		return std::make_tuple(request(a), a.address) < std::make_tuple(request(b), b.address);
	});
	for (size_t i = 0, j; i < trips.size(); i = j) {
		for (j = i; j < trips.size() && request(trips[j]) == request(trips[i]); j++) {}
		const bool is_shared = trips[i].address < device_base + shared_size;
		add(is_shared ? p.shared : p.device, (is_shared ? turns : sectors)(&trips[i], trips.data() + j));
	}
}

void keep_profile(const char *kernel, const Profile &p) {
	if (!profiling()) return;
	std::lock_guard<std::mutex> lock(profiles().mutex);
	profiles().launches[{kernel, p.blocks, p.threads}].add(p);
}

void write_profile() {
	if (!path()) return;
	FILE *f = fopen(path(), "w");
	if (!f) return;
	std::lock_guard<std::mutex> lock(profiles().mutex);
	fprintf(f, "%-20s %8s %8s %8s | %-23s | %-13s | %-8s | %-23s | %s\n", "", "", "", "", "instructions of a thread", "loads", "barriers", "device memory", "shared memory");
	fprintf(f, "%-20s %8s %8s %8s | %11s %12s | %6s %6s | %8s | %11s %11s | %11s %11s\n", "kernel", "launches", "blocks", "threads", "mean", "most", "mean", "most",
		"most", "sectors", "over best", "turns", "over best");
	auto ratio = [](uint64_t a, uint64_t b) { return b ? (double)a / b : 0; };
	for (const auto &[key, p] : profiles().launches) {
		const auto &[name, blocks, threads] = key;
		fprintf(f, "%-20s %8llu %8llu %8llu | %11.0f %12llu | %6.1f %6llu | %8llu | %11.2f %11.2f | %11.2f %11.2f\n", name.c_str(), (unsigned long long)p.launches,
			(unsigned long long)blocks, (unsigned long long)(threads / blocks), ratio(p.sum.instructions, p.threads), (unsigned long long)p.most.instructions,
			ratio(p.sum.loads, p.threads), (unsigned long long)p.most.loads, (unsigned long long)p.most.barriers,
			ratio(p.device.cost, p.device.requests), ratio(p.device.cost, p.device.best), ratio(p.shared.cost, p.shared.requests), ratio(p.shared.cost, p.shared.best));
	}
	fclose(f);
}

} // namespace emulator
