//! Links the function to a fixed place in memory.

fn main() {
    // A hundred thousand addresses in it would otherwise be put right at every start, in as many pages as they are in.
    println!("cargo::rustc-link-arg-bins=-no-pie");
}
