//! The `impl` block, read no deeper than the signatures of its methods.
//!
//! Bodies and other members stay the tokens they are: nothing is parsed twice, and a body that is being typed
//! does not take the group away.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt};
use syn::{
    Attribute, Ident, ItemImpl, Signature, Token, Visibility,
    ext::IdentExt,
    parse::{Parse, ParseStream, discouraged::Speculative},
    token::Brace,
};

/// An `impl` block.
pub(crate) struct Block {
    /// What stands before the braces, as it was written.
    before: TokenStream,
    /// The same, parsed: an `impl` without members.
    pub(crate) head: ItemImpl,
    braces: Group,
    inner: Vec<Attribute>,
    pub(crate) members: Vec<Member>,
}

/// What stands in the block.
pub(crate) enum Member {
    Method(Box<Method>),
    Const(Ident, TokenStream),
    Other(TokenStream),
}

/// A method of the block.
pub(crate) struct Method {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    body: TokenTree,
}

impl Block {
    /// `Ok(None)`: the item is no `impl` block. An error is rustc's to explain: it will not read the item either.
    pub(crate) fn parse(item: TokenStream) -> syn::Result<Option<Self>> {
        let mut before: Vec<TokenTree> = item.into_iter().collect();
        let is_impl = before.iter().any(|t| matches!(t, TokenTree::Ident(word) if word == "impl"));
        let braces = match before.pop() {
            Some(TokenTree::Group(group)) if is_impl && group.delimiter() == Delimiter::Brace => group,
            _ => return Ok(None),
        };
        let before: TokenStream = before.into_iter().collect();
        let empty = TokenTree::Group(Group::new(Delimiter::Brace, TokenStream::new()));
        let Ok(head) = syn::parse2::<ItemImpl>(before.clone().into_iter().chain([empty]).collect()) else {
            return Ok(None);
        };
        let Members { inner, members } = syn::parse2(braces.stream())?;
        Ok(Some(Self { before, head, braces, inner, members }))
    }

    pub(crate) fn methods_mut(&mut self) -> impl Iterator<Item = &mut Method> {
        self.members.iter_mut().filter_map(|member| match member {
            Member::Method(method) => Some(&mut **method),
            _ => None,
        })
    }
}

impl ToTokens for Block {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let mut content = TokenStream::new();
        content.append_all(&self.inner);
        content.append_all(&self.members);
        let mut braces = Group::new(Delimiter::Brace, content);
        braces.set_span(self.braces.span());
        self.before.to_tokens(tokens);
        tokens.append(braces);
    }
}

struct Members {
    inner: Vec<Attribute>,
    members: Vec<Member>,
}

impl Parse for Members {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let inner = input.call(Attribute::parse_inner)?;
        let mut members = Vec::new();
        while !input.is_empty() {
            members.push(input.parse()?);
        }
        Ok(Self { inner, members })
    }
}

impl Parse for Member {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let ahead = input.fork();
        if let Ok(method) = ahead.parse() {
            input.advance_to(&ahead);
            return Ok(Self::Method(Box::new(method)));
        }
        let name = constant(&input.fork());
        let mut tokens = TokenStream::new();
        while !input.is_empty() {
            let last = input.peek(Brace) || input.peek(Token![;]);
            tokens.append(input.parse::<TokenTree>()?);
            if last {
                break;
            }
        }
        Ok(match name {
            Some(name) => Self::Const(name, tokens),
            None => Self::Other(tokens),
        })
    }
}

/// The name of the constant that comes next.
fn constant(input: ParseStream<'_>) -> Option<Ident> {
    input.call(Attribute::parse_outer).ok()?;
    input.parse::<Visibility>().ok()?;
    input.parse::<Token![const]>().ok()?;
    input.call(Ident::parse_any).ok()
}

impl Parse for Method {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let (vis, sig) = (input.parse()?, input.parse()?);
        if !input.peek(Brace) {
            return Err(input.error("expected the body of a method"));
        }
        Ok(Self { attrs, vis, sig, body: input.parse()? })
    }
}

impl ToTokens for Member {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Method(method) => method.to_tokens(tokens),
            Self::Const(_, other) | Self::Other(other) => other.to_tokens(tokens),
        }
    }
}

impl ToTokens for Method {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.append_all(&self.attrs);
        self.vis.to_tokens(tokens);
        self.sig.to_tokens(tokens);
        self.body.to_tokens(tokens);
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn block(item: TokenStream) -> Block {
        Block::parse(item).unwrap().unwrap()
    }

    #[test]
    fn a_block_is_written_as_it_was_read() {
        let item = quote! {
            #[doc = "x"] unsafe impl<T> Of<T> where T: Send {
                #![allow(dead_code)]
                #[inline] pub(crate) const unsafe extern "C" fn f(self: &Self) -> u8 where Self: Sized { 1 }
                pub const X: u8 = { 1 };
                type Y = u8;
                some_macro! { fn not_a_method() }
                async fn g(&self, (a, b): (u8, u8)) { a +; unfinished }
            }
        };
        let block = block(item.clone());
        assert_eq!(block.to_token_stream().to_string(), item.to_string());
        let names: Vec<_> = block
            .members
            .iter()
            .filter_map(|m| match m {
                Member::Method(m) => Some(m.sig.ident.to_string()),
                Member::Const(name, _) => Some(name.to_string()),
                Member::Other(_) => None,
            })
            .collect();
        assert_eq!(names, ["f", "X", "g"]);
    }

    #[test]
    fn what_is_no_impl_block_is_told_apart() {
        for item in [
            quote!(
                struct S;
            ),
            quote!(
                struct S {
                    a: u8,
                }
            ),
            quote!(
                fn f() {}
            ),
            quote!(
                mod m {
                    impl S {}
                }
            ),
        ] {
            assert!(Block::parse(item).unwrap().is_none());
        }
    }
}
