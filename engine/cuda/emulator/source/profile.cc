#include "profile.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>

namespace emulator {

void Profile::add(const Tally &t) {
	threads++;
	sum.instructions += t.instructions, sum.loads += t.loads, sum.barriers += t.barriers;
	if (t.instructions > most.instructions) most = t;
}

void Profile::add(const Profile &p) {
	launches += p.launches, blocks += p.blocks, threads += p.threads;
	sum.instructions += p.sum.instructions, sum.loads += p.sum.loads, sum.barriers += p.sum.barriers;
	if (p.most.instructions > most.instructions) most = p.most;
}

namespace {

struct Profiles {
	std::mutex mutex;
	std::map<std::string, Profile> kernels;
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

void keep_profile(const char *kernel, const Profile &p) {
	if (!path()) return;
	std::lock_guard<std::mutex> lock(profiles().mutex);
	profiles().kernels[kernel].add(p);
}

void write_profile() {
	if (!path()) return;
	FILE *f = fopen(path(), "w");
	if (!f) return;
	std::lock_guard<std::mutex> lock(profiles().mutex);
	fprintf(f, "%-20s %8s %8s %8s | instructions of a thread: %8s %8s | loads %6s %6s | barriers %5s\n", "kernel", "launches", "blocks", "threads",
		"mean", "most", "mean", "most", "most");
	for (const auto &[name, p] : profiles().kernels) {
		auto mean = [&](uint64_t n) { return (double)n / p.threads; };
		fprintf(f, "%-20s %8llu %8.1f %8.0f | %25s %8.0f %8llu | %5s %6.1f %6llu | %8s %5llu\n", name.c_str(), (unsigned long long)p.launches,
			(double)p.blocks / p.launches, (double)p.threads / p.blocks, "", mean(p.sum.instructions), (unsigned long long)p.most.instructions, "",
			mean(p.sum.loads), (unsigned long long)p.most.loads, "", (unsigned long long)p.most.barriers);
	}
	fclose(f);
}

} // namespace emulator
